"""Training elsewhere than on the CPU: nothing stays behind. Where no GPU is, a device that only pretends stands in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from gnn.blocks import NetworkInputs
from gnn.bundle import EVENTS, build_network
from gnn.encoders import FeatureSpace, event_columns
from gnn.node_task import NodeQuestions
from gnn.nodes import NodeInputs, node_columns
from gnn.temporal_sage import SageSpec, TemporalSage
from gnn.trainer import EventTarget, NodeTarget, TrainerSpec, _Run, fit
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

PRETENDED = "lazy:0"
"""torch knows the name and has no such device; tensors on it have a shape and no numbers, and mix with no others."""

Asked = tuple[NetworkInputs, EventTarget, NodeTarget, Callable[[], TemporalSage]]


@pytest.fixture
def asked(random_log: Callable[..., EventLog]) -> Asked:
    """Events and users of a random graph, all that is known of them, and a network that is asked about both."""
    graph = TemporalGraph.build(random_log(5, 160))
    log, columns = graph.log, event_columns(graph.log)
    space = FeatureSpace.fit(columns, np.arange(len(log)), bins=4, min_count=1)
    inputs = NetworkInputs.of(graph, space, columns, k=4)
    users = np.arange(len(log.entity_ids["user"]), dtype=np.int32)
    questions = NodeQuestions("user", users, np.full(len(users), log.event_time[35]))
    of_users = node_columns(graph, questions, BehaviourSpec(families=("counts",)))
    own = FeatureSpace.fit(of_users, np.arange(len(users)), bins=4, min_count=1)
    label = torch.from_numpy((log.label == 1).astype(np.float32))
    fitted = (log.label >= 0) & (np.arange(len(log)) < 110)
    nodes = NodeInputs.of(inputs, own, questions, of_users, k=4)
    everybody = np.ones(len(users), bool)
    return (
        inputs,
        EventTarget(label, fitted, ~fitted & (log.label >= 0)),
        NodeTarget(nodes, label[: len(users)], everybody, ~everybody),
        lambda: build_network(
            SageSpec(width=16, k=4, bins=4), {EVENTS: space, "user": own}, log.roles, log.event_types
        ),
    )


def test_a_step_of_training_leaves_nothing_on_the_cpu(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, events, users, build = asked
    spec = TrainerSpec(epochs=1, block=40)
    object.__setattr__(spec, "device", PRETENDED)
    monkeypatch.setattr(torch.optim, "AdamW", lambda weights, **told: torch.optim.SGD(weights, lr=told["lr"]))
    monkeypatch.setattr(TemporalSage, "to", _pretend)
    monkeypatch.setattr(_Run, "_start_at_rates", lambda run: None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device(PRETENDED):
            network = build()
        run = _Run(network, inputs, spec, 0, events, (users,), 1)
        before = {name: weight._version for name, weight in network.named_parameters()}
        # The loss of the step is the first number that somebody wants to see.
        with pytest.raises(DataDependentOutputException):
            run.epoch()
    moved = {name for name, weight in network.named_parameters() if weight._version > before[name]}
    assert any(name.startswith("sage") for name in moved) and any(name.startswith("node_heads") for name in moved)
    assert run.cache.levels[-1].device == torch.device(PRETENDED)


def _pretend(network: TemporalSage, device: torch.device) -> TemporalSage:
    """Weights were made there; what came as numbers is moved."""
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    return network


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
def test_a_gpu_learns_what_the_cpu_learns(asked: Asked) -> None:
    inputs, events, users, build = asked

    def losses(device: str) -> list[float]:
        torch.manual_seed(0)
        network = build()
        fitted = fit(
            network, inputs, TrainerSpec(epochs=3, block=40, device=device), seed=0, events=events, nodes=[users]
        )
        assert all(weight.device.type == "cpu" for weight in network.parameters())
        return [record.loss for record in fitted.history]

    assert losses("cuda") == pytest.approx(losses("cpu"), rel=0.2)


@pytest.mark.parametrize(("device", "told"), [("gpu", "expected cpu, cuda"), ("meta", "expected cpu, cuda")])
def test_a_device_that_is_none_is_told(device: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        TrainerSpec(device=device)


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no GPU here; install torch's CUDA build"):
        TrainerSpec(device="cuda:1")
