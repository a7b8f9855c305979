"""The fused aggregation against plain tensor operations: values, gradients, empty windows, and the same bits twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from gnn.aggregate import Edges, aggregate, aggregate_reference
from gnn.projection import Rows
from gnn.rowwise import RowLinear

SOURCES, INPUTS, NUMBERS, MARKS = (7, 30), 6, 3, 4


@dataclass(frozen=True)
class Windows:
    """Rows of a table, a source that needs a gradient, index with holes, edges that are 0 in the holes, weights."""

    sources: tuple[Rows, ...]
    project: nn.Linear
    index: Tensor
    edges: Edges
    weight: Tensor

    @classmethod
    def draw(cls, seed: int, n: int, slots: int, k: int, width: int) -> Windows:
        torch.manual_seed(seed)
        index = torch.randint(-sum(SOURCES) // 2, sum(SOURCES), (n, slots, k)).clamp_min(-1).to(torch.int32)
        there = index >= 0
        edges = Edges(
            torch.randn(n, slots, k, NUMBERS) * there.unsqueeze(-1), torch.randint(0, 1 << MARKS, (n, slots, k)) * there
        )
        table, own = torch.randn(50, INPUTS), torch.randn(SOURCES[1], INPUTS, requires_grad=True)
        sources = Rows(table, torch.randperm(50)[: SOURCES[0]].to(torch.int32)), Rows(own)
        weight = torch.randn(slots, NUMBERS + MARKS, width, requires_grad=True)
        return cls(sources, RowLinear(INPUTS, width), index, edges, weight)

    def said(self, how: Callable[..., Tensor]) -> Tensor:
        return how(self.sources, self.project, self.index, self.edges, self.weight)

    def with_gradients(self, how: Callable[..., Tensor], pull: Tensor) -> tuple[Tensor, ...]:
        found = self.said(how)
        learnt = (self.sources[1].table, self.project.weight, self.project.bias, self.weight)
        return found.detach(), *torch.autograd.grad((found * pull).sum(), learnt)


def test_mean_and_max_of_two_messages_by_hand() -> None:
    same = RowLinear(2, 2)
    same.weight.data, same.bias.data = torch.eye(2), torch.tensor([0.0, -2.0])
    sources = [Rows(torch.tensor([[1.0, -3.0]])), Rows(torch.tensor([[2.0, 5.0]]))]
    index = torch.tensor([[[0, 1, -1]]], dtype=torch.int32)
    edges = Edges(torch.tensor([[[[1.0], [2.0], [0.0]]]]), torch.tensor([[[0b10, 0, 0]]]))
    weight = torch.tensor([[[10.0, 1.0], [1000.0, 1000.0], [-1.0, 0.0]]])
    found = aggregate(sources, same, index, edges, weight)
    assert found.tolist() == [[[16.0, 2.5, 22.0, 5.0]]]  # mean and max of relu([10, -4]) and relu([22, 5])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("slots", "k", "width"), [(1, 1, 16), (1, 4, 8), (4, 8, 64), (3, 2, 5)])
def test_fused_equals_reference_forward_and_backward(seed: int, slots: int, k: int, width: int) -> None:
    windows, pull = Windows.draw(seed, 40, slots, k, width), torch.randn(40, slots, 2 * width)
    fused, plain = (windows.with_gradients(how, pull) for how in (aggregate, aggregate_reference))
    for ours, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradients_agree_with_finite_differences() -> None:
    windows = Windows.draw(1, 3, 2, 3, 4)
    old, own, weight = (tensor.detach().double() for tensor in (*(p.copied for p in windows.sources), windows.weight))
    edges, project = Edges(windows.edges.numbers.double(), windows.edges.marks), windows.project.double()
    torch.autograd.gradcheck(
        lambda own, weight: aggregate_reference((Rows(old), Rows(own)), project, windows.index, edges, weight),
        (own.requires_grad_(), weight.requires_grad_()),
    )


def test_empty_windows_are_zero_and_pass_nothing_back() -> None:
    drawn = Windows.draw(2, 6, 2, 4, 8)
    nothing = Edges(torch.zeros_like(drawn.edges.numbers), torch.zeros_like(drawn.edges.marks))
    empty = replace(drawn, index=torch.full_like(drawn.index, -1), edges=nothing)
    assert all((part == 0).all() for part in empty.with_gradients(aggregate, torch.ones(6, 2, 16)))


def test_no_events_at_all_is_no_error() -> None:
    drawn = Windows.draw(3, 0, 2, 4, 8)
    assert replace(drawn, sources=(Rows(torch.empty(0, INPUTS)),) * 2).said(aggregate).shape == (0, 2, 16)


def test_the_same_bits_every_time() -> None:
    windows, pull = Windows.draw(4, 200, 4, 8, 64), torch.randn(200, 4, 128)
    first, second = (windows.with_gradients(aggregate, pull) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_a_window_is_aggregated_the_same_whatever_stands_beside_it() -> None:
    drawn = Windows.draw(5, 50, 2, 4, 64)
    alone = replace(drawn, index=drawn.index[7:8], edges=Edges(*(part[7:8] for part in drawn.edges)))
    assert torch.equal(drawn.said(aggregate)[7:8], alone.said(aggregate))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 40])
def test_a_source_is_projected_the_same_whatever_stands_beside_it(rows: int) -> None:
    drawn = Windows.draw(6, 50, 2, 4, 64)
    index, table, at = drawn.index.clamp(max=rows - 1), torch.randn(40, INPUTS), torch.randperm(40).to(torch.int32)
    whole = replace(drawn, sources=(Rows(table, at),), index=index).said(aggregate)
    for alone in (Rows(table, at[:rows]), Rows(table[at[:rows].long()])):
        assert torch.equal(whole, replace(drawn, sources=(alone,), index=index).said(aggregate))
