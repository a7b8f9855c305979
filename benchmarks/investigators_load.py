"""Fifty investigators at once, over HTTP against `ringtrace serve` on this machine: how long they wait, and that no
write is lost.

Each has a key of their own and works as people do: looks at the queue, takes a ring, reads its sheet, its money, some
entities and paths, judges members, writes notes, gives the case back; between two requests they think. Half of what
they take is taken at the same time by others. Every answer is timed at the client, the audit's line and the disk
included. Afterwards the database is counted: each write that was acknowledged is there once, each case has gone through
exactly as many versions as there were acknowledged changes of it, and nobody ever held a case that another had.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from queries import LEAD, prepare
from results_io import RESULTS, merge_rows
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from services import free_port, postgres_server

from graphs.investigation.keys import make_key
from graphs.investigation.workspace import STORE_VARIABLE, Workspace
from graphs.stores.actors import Actor
from graphs.stores.importing import import_run
from graphs.stores.models import audit, cases, notes, verdicts
from graphs.stores.people import set_person

ROOT = Actor("root", "admin")
CHANGES = ("claim", "release", "verdict", "set_status")
"""Writes that raise the version of a case, as the audit calls them."""


@dataclass
class Investigator:
    """One of them: their connection, what they waited, and what was acknowledged."""

    name: str
    key: str
    port: int
    think_s: float
    chance: random.Random
    waits: list[tuple[float, str, float]] = field(default_factory=list)
    acknowledged: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)

    def work(self, until: float) -> None:
        """Until the clock says `until`; what was begun is ended."""
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        time.sleep(self.chance.uniform(0, self.think_s))
        while time.monotonic() < until:
            self._one_ring()
        self.connection.close()

    def _one_ring(self) -> None:
        rows = self.get("queue", "/rings?free=true&limit=25")["rows"]
        if not rows:
            return
        # The first few are on everybody's screen.
        row = self.chance.choice(rows[:5] if self.chance.random() < 0.5 else rows)
        ring = row["ring_id"]
        sheet = self.get("ring sheet", f"/rings/{ring}")
        version, case = str(sheet["ring"]["version"]), sheet["ring"]["case_id"]
        status, claimed = self.write("claim", case, f"/cases/{case}/claim", None, version)
        if status != 200:
            return
        members = [one["entity"] for one in sheet["members"]]
        self.get("payments", f"/rings/{ring}/payments")
        self.get("timeline", f"/rings/{ring}/timeline?limit=50")
        self.get("similar rings", f"/rings/{ring}/similar")
        one, other = self.chance.choice(members), self.chance.choice(members)
        where = f"{one['type']}/{quote(one['key'], safe='')}"
        self.get("lookup", f"/lookup?id={quote(one['key'])}")
        self.get("entity", f"/entities/{where}")
        self.get("neighbours", f"/neighbours/{where}")
        if one != other:
            ends = [f"{end['type']}:{end['key']}" for end in (one, other)]
            self.get("paths", f"/paths?from={quote(ends[0])}&to={quote(ends[1])}")
        version = str(claimed["version"])
        for member in self.chance.sample(members, min(2, len(members))):
            judged = {"entity_type": member["type"], "entity_id": member["key"], "verdict": "unsure", "reason": "load"}
            status, _ = self.write("verdict", case, f"/cases/{case}/verdicts", judged, version)
            version = str(int(version) + (status == 201))
        self.write("note", case, f"/cases/{case}/notes", {"text": f"{self.name} {self.chance.random()}"}, None)
        self.write("release", case, f"/cases/{case}/release", None, version)

    def get(self, what: str, path: str) -> Any:
        """Ask, wait, think."""
        status, body = self._send(what, "GET", path, None, {})
        assert status == 200, f"{path}: {status} {body}"
        return body

    def write(self, what: str, case: str, path: str, body: Any, version: str | None) -> tuple[int, Any]:
        """Write, wait, think; what comes back as done is counted."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        status, answer = self._send(what, "POST", path, body, headers)
        if status in (200, 201):
            self.acknowledged[what, case] += 1
        else:
            assert status in (409, 412), f"{path}: {status} {answer}"
            self.refused[status] += 1
        return status, answer

    def _send(self, what: str, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.key}"} | headers
        if body is not None:
            headers["Content-Type"] = "application/json"
        began = time.monotonic()
        self.connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        told = answer.read()
        self.waits.append((began, what, (time.monotonic() - began) * 1e3))
        time.sleep(self.chance.expovariate(1 / self.think_s))
        return answer.status, json.loads(told)


@contextmanager
def serving(folder: Path, workers: int, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """`ringtrace serve` on a free port, ready to answer; yields the port and the number of its process."""
    port = free_port()
    command = [sys.executable, "-m", "gnn.cli", "serve", str(folder), "--port", str(port), "--workers", str(workers)]
    with (folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
        try:
            while True:
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    connection.request("GET", "/readyz")
                    if connection.getresponse().status == 200:
                        break
                except OSError:
                    assert server.poll() is None, (folder / "serve.log").read_text()
                    time.sleep(0.2)
            yield port, server.pid
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used so far, in seconds of a core."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if pid in (int(path.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def new_workspace(world: Path, folder: Path, url: str | None, people: int) -> tuple[Workspace, dict[str, str]]:
    """A fresh store over the world's graph and its three finder runs, and the keys of so many investigators."""
    workspace = Workspace.make(folder, graph=world / "graph", store=url)
    set_person(workspace.store, ROOT, "root", "admin")
    for run in ("run2", "run1", "run0"):
        import_run(workspace.store, LEAD, world / run)
    keys = {}
    for number in range(people):
        name = f"i{number:02}"
        set_person(workspace.store, ROOT, name, "investigator")
        keys[name], _ = make_key(workspace.store, ROOT, name)
    return workspace, keys


def versions(workspace: Workspace) -> dict[str, int]:
    """The version of each case."""
    with workspace.store.read() as connection:
        found = connection.execute(select(cases.c.case_id, cases.c.version)).all()
    return {f"C-{case_id}": version for case_id, version in found}


def prove(workspace: Workspace, before: dict[str, int], done: Counter[tuple[str, str]]) -> None:
    """Every acknowledged write is in the store once, and nothing else is. Raises AssertionError."""
    wanted: Counter[str] = Counter()
    for (what, _), count in done.items():
        wanted[what] += count
    with workspace.store.read() as connection:
        lines = connection.execute(select(audit).where(audit.c.channel == "api").order_by(audit.c.audit_id)).all()
        rows = {table.name: len(connection.execute(select(table)).all()) for table in (notes, verdicts)}
    told = Counter(line.action for line in lines if line.action in (*CHANGES, "note"))
    assert dict(told) == dict(wanted), f"audit {dict(told)}, acknowledged {dict(wanted)}"
    assert rows == {"notes": wanted["note"], "verdicts": wanted["verdict"]}, rows
    moved = {case: version - before[case] for case, version in versions(workspace).items()}
    for case, steps in moved.items():
        changes = sum(done[what, case] for what in CHANGES)
        assert steps == changes, f"{case}: {steps} versions, {changes} acknowledged changes"
    owner: dict[str, str | None] = {}
    for line in lines:
        if line.action == "claim":
            assert owner.get(line.subject) is None, f"{line.subject}: {line.actor} took what {owner[line.subject]} had"
            owner[line.subject] = line.actor
        if line.action == "release":
            owner[line.subject] = None


def load(world: Path, url: str | None, args: argparse.Namespace) -> dict[str, Any]:
    """Let them work; returns what was measured."""
    with tempfile.TemporaryDirectory(prefix="ringtrace-load-") as temporary:
        folder = Path(temporary) / "workspace"
        workspace, keys = new_workspace(world, folder, url, args.people)
        before, busy = versions(workspace), os.getloadavg()[0]
        environment = {} if url is None else {STORE_VARIABLE: url}
        with serving(folder, args.workers, environment) as (port, server):
            spent = -cpu_seconds(server)
            people = [Investigator(name, key, port, args.think, random.Random(name)) for name, key in keys.items()]
            start = time.monotonic() + args.warm
            end = start + args.seconds
            threads = [threading.Thread(target=one.work, args=(end,)) for one in people]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            spent += cpu_seconds(server)
        cpu_ms = 1e3 * spent / sum(len(one.waits) for one in people)
        done = sum((one.acknowledged for one in people), Counter())
        assert all(one.waits for one in people), "everybody worked"
        prove(workspace, before, done)
        workspace.close()
    waits = [(what, wait) for one in people for began, what, wait in one.waits if start <= began < end]
    return {
        "waits": waits,
        "per_second": len(waits) / args.seconds,
        "cpu_ms": cpu_ms,
        "busy": busy,
        "writes": sum(done.values()),
        "refused": sum((one.refused for one in people), Counter()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--think", type=float, default=2.0, help="seconds between two requests of one, on average")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=float, default=10, help="seconds before that, which don't count")
    parser.add_argument("--workers", type=int, default=2, help="processes of the server")
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--folder", type=Path, help="keep the world here, and use it if it is there")
    parser.add_argument("--dry", action="store_true", help="write no result")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        world = args.folder or Path(temporary)
        if not (world / "workspace" / "workspace.json").is_file():
            prepare(world, args.payments).close()
        opened = Workspace.open(world / "workspace")
        log = opened.graph.log
        size = int((log.event_type == log.event_types.index("payment")).sum())
        opened.close()
        if args.store != "postgresql":
            rows += tell("SQLite", size, load(world, None, args), args)
        if args.store != "sqlite":
            with postgres_server() as url:
                rows += tell("PostgreSQL", size, load(world, url, args), args)
    if not args.dry:
        merge_rows(RESULTS / "speed.json", rows, ("name", "size"))


def tell(store: str, size: int, found: dict[str, Any], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Print what was measured; returns it as a row of the result file."""
    by_kind: dict[str, list[float]] = {}
    for what, wait in found["waits"]:
        by_kind.setdefault(what, []).append(wait)
    everything = np.array([wait for _, wait in found["waits"]])
    for what, waits in (*sorted(by_kind.items()), ("all", everything.tolist())):
        p50, p95, worst = np.percentile(waits, (50, 95, 100))
        print(
            f"{store:<11}{what:<14}{len(waits):>6} answers   p50 {p50:>8.1f}   p95 {p95:>8.1f}   worst {worst:>8.1f} ms"
        )
    work = (
        f"{found['per_second']:.1f} answers/s of {found['cpu_ms']:.1f} ms CPU at a load of {found['busy']:.1f} before"
    )
    print(f"{store}: {work}; {found['writes']} writes, none lost; refused {dict(found['refused'])}")
    return [
        {
            "name": f"investigators: {args.people} at once over HTTP, {store}", "size": size,
            "ours": round(float(np.percentile(everything, 95)), 1), "p50": round(float(np.median(everything)), 1),
            "worst": round(float(everything.max()), 1), "answers": len(everything),
            "per_second": round(found["per_second"], 1), "writes": found["writes"], "lost_writes": 0,
            "server_cpu_ms": round(found["cpu_ms"], 1), "load_before": round(found["busy"], 1), "think_s": args.think,
            "workers": args.workers, "peer": None, "peer_name": None, "unit": "ms, p95",
            "ratio": None,
        }
    ]  # fmt: skip


if __name__ == "__main__":
    main()
