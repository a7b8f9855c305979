"""A linear layer whose every row is computed the same way, whatever other rows stand in the batch.

Matrix libraries choose their kernel by the shape: a batch of 3 rows, or a single output column, may round
differently from a batch of 3,000. The promise that nothing later changes an earlier score is one of bits, so the
few shapes that behave otherwise are avoided.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEWEST_ROWS = 16
"""Below this, rows are padded; matrix kernels for a handful of rows round differently."""


class RowLinear(nn.Linear):
    """`nn.Linear` for (rows, inputs) whose output rows depend on their own input row only, bit for bit."""

    def forward(self, x: Tensor) -> Tensor:
        if self.out_features == 1:
            said = (x * self.weight[0]).sum(-1, keepdim=True)
            return said if self.bias is None else said + self.bias
        missing = FEWEST_ROWS - len(x)
        if missing <= 0:
            return super().forward(x)
        padded = torch.cat([x, x.new_zeros(missing, x.shape[1])])
        return functional.linear(padded, self.weight, self.bias)[: len(x)]
