"""What TensorBoard shows of a run: losses, validation AP, throughput, PR curves and calibration of the judgement."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from gnn.evaluation import Evaluation, ScoredRows
from gnn.metrics import Undefined
from gnn.trainer import EpochRecord

PROJECTED = 5_000
"""At most this many embeddings go to the projector; more makes the browser crawl."""


class Board:
    """A writer that closes itself, into a `folder` of its own: TensorBoard would draw an earlier run there as one line
    with this one."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.writer = SummaryWriter(folder)

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    def epoch(self, record: EpochRecord) -> None:
        """One training epoch."""
        self.writer.add_scalar("train/loss", record.loss, record.epoch)
        self.writer.add_scalar("train/events_per_second", record.events_per_second, record.epoch)
        if record.valid_ap is not None:
            self.writer.add_scalar("validation/ap", record.valid_ap, record.epoch)

    def judgement(self, task: str, judged: Evaluation, scored: ScoredRows) -> None:
        """A task's test part: PR curve, reliability, AP of every candidate, the verdict."""
        rows = scored.labelled()
        self.writer.add_pr_curve(f"test_{task}/pr", rows.label, rows.score)
        for row in judged.table:
            if not isinstance(row.ap, Undefined):
                self.writer.add_scalar(f"test_{task}_ap/{row.model}", row.ap)
        self.writer.add_text(f"test_{task}/verdict", judged.verdict)
        reliability = judged.curves.reliability
        if not isinstance(reliability, Undefined):
            for step, (said, was) in enumerate(zip(reliability.mean_probability, reliability.rate, strict=True)):
                self.writer.add_scalars(f"test_{task}/reliability", {"predicted": said, "observed": was}, step)

    def embeddings(self, task: str, vectors: np.ndarray, labels: list[str], *, seed: int = 0) -> None:
        """A sample of a task's embeddings (rows, width) for the projector, with one text label each: no ids."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:PROJECTED])
        self.writer.add_embedding(vectors[chosen], metadata=[labels[i] for i in chosen], tag=task)
