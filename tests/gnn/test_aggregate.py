"""The fused aggregation against plain tensor operations: values, gradients, empty windows, and the same bits twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnn.aggregate import aggregate, aggregate_reference

SOURCES, COLUMNS = 30, 5


def windows(seed: int, n: int, slots: int, k: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random projections, index with holes, edges that are 0 in the holes, and edge weights."""
    draw = torch.Generator().manual_seed(seed)
    index = torch.randint(-SOURCES // 2, SOURCES, (n, slots, k), generator=draw).clamp_min(-1).to(torch.int32)
    edges = torch.randn(n, slots, k, COLUMNS, generator=draw) * (index >= 0).unsqueeze(-1)
    projected = torch.randn(SOURCES, width, generator=draw)
    return projected, index, edges, torch.randn(slots, COLUMNS, width, generator=draw)


def with_gradients(how: object, inputs: tuple[Tensor, ...], pull: Tensor) -> tuple[Tensor, ...]:
    projected, index, edges, weight = inputs
    projected, weight = projected.clone().requires_grad_(), weight.clone().requires_grad_()
    found = how(projected, index, edges, weight)  # type: ignore[operator]
    (found * pull).sum().backward()
    return found.detach(), projected.grad, weight.grad


def test_mean_and_max_of_two_messages_by_hand() -> None:
    projected = torch.tensor([[1.0, -5.0], [2.0, 3.0]])
    index = torch.tensor([[[0, 1, -1]]], dtype=torch.int32)
    edges = torch.tensor([[[[1.0], [2.0], [0.0]]]])
    found = aggregate(projected, index, edges, torch.tensor([[[10.0, 1.0]]]))
    assert found.tolist() == [[[16.5, 2.5, 22.0, 5.0]]]  # mean and max of relu([11, -4]) and relu([22, 5])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("slots", "k", "width"), [(1, 1, 16), (1, 4, 8), (4, 8, 64), (3, 2, 5)])
def test_fused_equals_reference_forward_and_backward(seed: int, slots: int, k: int, width: int) -> None:
    inputs = windows(seed, 40, slots, k, width)
    pull = torch.randn(40, slots, 2 * width, generator=torch.Generator().manual_seed(seed))
    fused, plain = (with_gradients(how, inputs, pull) for how in (aggregate, aggregate_reference))
    for ours, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradients_agree_with_finite_differences() -> None:
    inputs = [tensor.double() if tensor.is_floating_point() else tensor for tensor in windows(1, 3, 2, 3, 4)]
    projected, index, edges, weight = inputs
    torch.autograd.gradcheck(
        lambda p, w: aggregate_reference(p, index, edges, w), (projected.requires_grad_(), weight.requires_grad_())
    )


def test_empty_windows_are_zero_and_pass_nothing_back() -> None:
    projected, index, edges, weight = windows(2, 6, 2, 4, 8)
    index, edges = torch.full_like(index, -1), torch.zeros_like(edges)
    outcome = with_gradients(aggregate, (projected, index, edges, weight), torch.ones(6, 2, 16))
    assert all((part == 0).all() for part in outcome)


def test_no_events_at_all_is_no_error() -> None:
    projected, index, edges, weight = windows(3, 0, 2, 4, 8)
    assert aggregate(projected[:0], index, edges, weight).shape == (0, 2, 16)


def test_the_same_bits_every_time() -> None:
    inputs, pull = windows(4, 200, 4, 8, 64), torch.randn(200, 4, 128)
    first, second = (with_gradients(aggregate, inputs, pull) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_a_window_is_aggregated_the_same_whatever_stands_beside_it() -> None:
    projected, index, edges, weight = windows(5, 50, 2, 4, 64)
    whole = aggregate(projected, index, edges, weight)
    alone = aggregate(projected, index[7:8], edges[7:8], weight)
    assert torch.equal(whole[7:8], alone)
