"""One training epoch over a million payments: the causal GraphSAGE on dense windows against stock PyG.

Ours is `gnn.trainer.fit`: two layers, each a whole step from event to event. The peer is PyG's `NeighborLoader` with
`HeteroConv(SAGEConv)`, without the compiled library that NeighborLoader asks for (pyg-lib, not on the package index):
its sampler is emulated by ours behind PyG's own `NodeLoader`, which gives the same batches (most recent neighbours,
disjoint subgraphs, features gathered per batch). The sampler's own time is taken out and replaced by what pyg-lib was
measured to need, so nothing slow of ours is charged to it. Convolution, loss, backward pass and Adam are PyG's and
torch's own. Dropout is off on both sides.

A convolution of the peer goes half a step, from entity to event or back: its two layers with fanouts [15, 10] see the
last ten payments of the four parties. Three rows say what is compared:

- "2 layers against 2 convolutions": the peer as named in the bar, which sees one event away; ours sees two.
- "1 layer against 2 convolutions": both see one event away.
- "2 layers against 4 convolutions": both see two events away (fanouts [15, 10, 15, 10]).

CPU seconds of the whole process an epoch: ours in a training of five, whose first makes the windows and edges that the
others find kept (`trainer.keep_gb`), and the first alone beside it. The peer draws its batches anew in every epoch; it
runs over a sample of them and is scaled to the epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from results_io import RESULTS, merge_rows
from synthetic import make_payments
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.sampler import HeteroSamplerOutput, NodeSamplerInput

from gnn.blocks import NetworkInputs
from gnn.bundle import EVENTS, build_network
from gnn.encoders import FeatureSpace, event_columns
from gnn.interop import EVENT, TemporalSampler, to_hetero_data
from gnn.temporal_sage import SageSpec
from gnn.trainer import EventTarget, TrainerSpec, fit
from graphs.temporal_graph import TemporalGraph

WIDTH = 64
EPOCHS = 5
PYG_LIB_US_PER_EDGE = 7.7 / 44
"""Measured for pyg-lib: 7.7 µs a seed at [15, 10], which are 4 + 40 edges."""

CASES = {
    "2 layers against 2 convolutions": (2, (15, 10)),
    "1 layer against 2 convolutions": (1, (15, 10)),
    "2 layers against 4 convolutions": (2, (15, 10, 15, 10)),
}


def epoch_of_ours(rows: int, layers: int, block: int, threads: int) -> dict[str, float]:
    """CPU and wall seconds an epoch, everything in it: windows, edges, forward, backward, steps."""
    log = make_payments(rows)
    graph, columns = TemporalGraph.build(log), event_columns(log)
    space = FeatureSpace.fit(columns, np.arange(rows))
    inputs = NetworkInputs.of(graph, space, columns, k=8)
    spec = SageSpec(width=WIDTH, layers=layers, k=8, dropout=0.0)
    trainer = TrainerSpec(block=block, threads=threads)
    torch.set_num_threads(threads)
    label = torch.from_numpy((log.label == 1).astype(np.float32))
    nobody, some, everybody = np.zeros(rows, bool), np.arange(rows) < 2 * block, np.ones(rows, bool)
    for fitted in (some, everybody):  # the first few blocks load compiled code and do not count
        torch.manual_seed(0)
        network = build_network(spec, {EVENTS: space}, log.roles, log.event_types)
        clock = [(time.process_time(), time.perf_counter())]
        fit(
            network,
            inputs,
            trainer,
            seed=0,
            events=EventTarget(label, fitted, nobody),
            epochs=EPOCHS,
            on_epoch=lambda _, clock=clock: clock.append((time.process_time(), time.perf_counter())),  # type: ignore[misc]
        )
    cpu, wall = np.diff(clock, axis=0).T
    return {"cpu": cpu.mean(), "first_cpu": cpu[0], "wall": wall.mean(), "peak_mb": _peak_mb()}


def epoch_of_peer(rows: int, fanouts: tuple[int, ...], batch: int, batches: int) -> dict[str, float]:
    """CPU seconds of one epoch, scaled from `batches` batches of `batch` seeds."""
    torch.set_num_threads(1)
    log = make_payments(rows)
    graph = TemporalGraph.build(log)
    data = to_hetero_data(graph)
    for name in log.entity_types:
        data[name].x = torch.ones(data[name].num_nodes, 1)
    sampler = TimedSampler(graph, fanouts)
    torch.manual_seed(0)
    network = Stock(data, len(fanouts))
    optimiser = torch.optim.Adam(network.parameters())
    loader = NodeLoader(data, sampler, (EVENT, torch.randperm(rows)), batch_size=batch)
    for number, part in enumerate(_first(loader, batches + 2)):
        if number == 2:
            sampler.seconds, sampler.edges, cpu = 0.0, 0, time.process_time()
        seeds = part[EVENT].batch_size
        label = (part[EVENT].y[:seeds] == 1).float()
        loss = nn.functional.binary_cross_entropy_with_logits(network(part), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    seconds = time.process_time() - cpu
    emulated = sampler.edges * PYG_LIB_US_PER_EDGE * 1e-6
    scale = rows / (batch * batches)
    return {
        "cpu": (seconds - sampler.seconds + emulated) * scale,
        "ours_sampler_cpu": sampler.seconds * scale,
        "emulated_sampler_cpu": emulated * scale,
        "peak_mb": _peak_mb(),
    }


def _first(loader: NodeLoader, count: int) -> Iterator[HeteroData]:
    for _, part in zip(range(count), loader, strict=False):
        yield part


class TimedSampler(TemporalSampler):
    """Our sampler with a clock, so that its time can be taken out again."""

    def __init__(self, graph: TemporalGraph, fanouts: tuple[int, ...]) -> None:
        super().__init__(graph, fanouts)
        self.seconds, self.edges = 0.0, 0

    def sample_from_nodes(self, index: NodeSamplerInput, **_: object) -> HeteroSamplerOutput:
        began = time.process_time()
        out = super().sample_from_nodes(index)
        self.seconds += time.process_time() - began
        self.edges += sum(len(row) for row in out.row.values())
        return out


class Stock(nn.Module):
    """What PyG's tutorials build: a linear layer per node type, layers of HeteroConv(SAGEConv), a linear head."""

    def __init__(self, data: HeteroData, layers: int) -> None:
        super().__init__()
        self.inputs = nn.ModuleDict({name: nn.Linear(data[name].x.shape[1], WIDTH) for name in data.node_types})
        self.layers = nn.ModuleList(
            HeteroConv({kind: SAGEConv((WIDTH, WIDTH), WIDTH) for kind in data.edge_types}) for _ in range(layers)
        )
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, batch: HeteroData) -> Tensor:
        h = {name: layer(batch[name].x) for name, layer in self.inputs.items()}
        for layer in self.layers:
            h = {name: new.relu() for name, new in layer(h, batch.edge_index_dict).items()}
        return self.head(h[EVENT][: batch[EVENT].batch_size]).squeeze(-1)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(*arguments: object) -> dict[str, float]:
    """One measurement in a fresh process, for a peak memory of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    # Idle threads sleep: spinning ones would be counted as work, and take a shared machine from others.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(found.stdout.splitlines()[-1])


def compare(case: str, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Peer and ours in turn, ours with one thread and, for the first case, with two."""
    fanouts = CASES[case][1]
    shared = ("--rows", options.rows, "--case", case, "--block", options.block)
    # Four convolutions make subgraphs of 2,000 nodes a seed: smaller batches, for the memory.
    batch = options.batch if len(fanouts) == 2 else options.batch // 8
    peer = in_own_process("--measure", "peer", *shared, "--batch", batch, "--batches", options.batches)
    for threads in (1, 2) if case == next(iter(CASES)) else (1,):
        ours = in_own_process("--measure", "ours", *shared, "--threads", threads)
        yield {
            "name": f"train epoch, {case}, {threads} thread{'s' if threads > 1 else ''}",
            "size": options.rows,
            "ours": round(ours["cpu"], 1),
            "peer": round(peer["cpu"], 1),
            "peer_name": f"PyG HeteroConv(SAGEConv), {len(fanouts)} convolutions, fanouts {list(fanouts)}, "
            f"batches of {batch}, 1 thread; NeighborLoader emulated",
            "unit": "CPU s",
            "ratio": round(peer["cpu"] / ours["cpu"], 1),
            "ours_first_epoch": round(ours["first_cpu"], 1),
            "peak_mb": round(ours["peak_mb"]),
            "wall_s": round(ours["wall"], 1),
            "block": options.block,
            "peer_peak_mb": round(peer["peak_mb"]),
            "peer_sampler": round(peer["emulated_sampler_cpu"], 1),
            "note": f"ours: mean of {EPOCHS} epochs; peer scaled from {options.batches} batches to the epoch; "
            "sampling charged at pyg-lib's speed; idle threads sleep (OMP_WAIT_POLICY=passive)",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--block", type=int, default=8_192, help="events a step of ours")
    parser.add_argument("--batch", type=int, default=512, help="seeds a step of the peer")
    parser.add_argument("--batches", type=int, default=48, help="batches the peer is measured on")
    parser.add_argument("--case", choices=list(CASES), help="only this comparison")
    parser.add_argument("--measure", choices=["ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        layers, fanouts = CASES[options.case]
        found = (
            epoch_of_ours(options.rows, layers, options.block, options.threads)
            if options.measure == "ours"
            else epoch_of_peer(options.rows, fanouts, options.batch, options.batches)
        )
        print(json.dumps(found))
        return
    rows = []
    for case in CASES if options.case is None else [options.case]:
        for row in compare(case, options):
            rows.append(row)
            print(row)
    merge_rows(RESULTS / "speed.json", rows, ("name", "size"))


if __name__ == "__main__":
    main()
