"""A workspace on hand-made events, and one on a random log, each with a lead, an investigator and a viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from finder_runs import day, ring, write_run

from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.importing import import_run
from graphs.stores.models import micros
from graphs.stores.people import set_person
from graphs.temporal_graph import TemporalGraph

LEAD = Actor("lea", "lead")
PAN = "4111111111111111"


def at(number: float) -> int:
    return micros(day(number))


def events() -> list[dict[str, object]]:
    """u1 and u2 share device d1; u2 and u3 the card; a kiosk (d9) is everybody's; u4 stands apart."""
    rows = [
        {"id": "p1", "type": "payment", "time": at(1), "sender": "user1", "device": "d1", "amount": 10.0},
        {"id": "p2", "type": "payment", "time": at(2), "sender": "user2", "device": "d1", "amount": 20.0},
        {"id": "p3", "type": "payment", "time": at(3), "sender": "user2", "card": PAN, "amount": 30.0,
         "label": 1, "label_known": at(9)},
        {"id": "p4", "type": "payment", "time": at(4), "sender": "user3", "card": PAN, "amount": 40.0},
        {"id": "t5", "type": "transfer", "time": at(5), "sender": "user1", "receiver": "user3", "amount": 50.0},
        {"id": "p6", "type": "payment", "time": at(6), "sender": "user4", "device": "d4", "amount": 60.0},
        {"id": "p7", "type": "payment", "time": at(10), "sender": "user4", "device": "d4"},
    ]  # fmt: skip
    kiosk = [
        {"id": f"k{number}", "type": "login", "time": at(7), "sender": f"guest{number:02}", "device": "d9"}
        for number in range(25)
    ]
    known = [
        {"id": f"k-{user}", "type": "login", "time": at(8), "sender": user, "device": "d9"}
        for user in ("user1", "user4")
    ]
    return rows + kiosk + known


@pytest.fixture(scope="session")
def workspace_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Workspace]:
    """A function EventLog -> a new workspace on its graph."""

    def make(log: object) -> Workspace:
        folder = tmp_path_factory.mktemp("workspace")
        TemporalGraph.build(log).save(folder / "graph")  # type: ignore[arg-type]
        made = Workspace.make(folder / "made", graph=folder / "graph")
        for name, role in (("root", "admin"), ("lea", "lead"), ("ana", "investigator"), ("vic", "viewer")):
            set_person(made.store, Actor("root", "admin"), name, role)  # type: ignore[arg-type]
        return made

    return make


@pytest.fixture(scope="session")
def new_workspace(workspace_of: Callable[..., Workspace], log_from_rows: Callable) -> Callable[[Path], Workspace]:
    """A function folder -> the hand-made events, with ring R-A of user1 and user2 on d1, and R-B of user3 on the card;
    the finder run is left in `folder`/finder."""
    return lambda folder: _with_rings(workspace_of(log_from_rows(events())), folder)


@pytest.fixture
def workspace(new_workspace: Callable[[Path], Workspace], tmp_path: Path) -> Iterator[Workspace]:
    """One made by `new_workspace`."""
    made = new_workspace(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(new_workspace: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace for a whole module, for tests that leave it as it is."""
    made = new_workspace(tmp_path_factory.mktemp("shared"))
    yield made
    made.close()


def _with_rings(made: Workspace, folder: Path) -> Workspace:
    first = ring(
        "R-A", [("user", "user1"), ("user", "user2")], [("device", "d1")], payments=[("p1", 10.0), ("p2", 20.0)]
    )
    second = ring("R-B", [("user", "user3")], [("card", PAN)], score=50.0, kind="mule_chain", payments=[("p4", 40.0)])
    import_run(made.store, LEAD, write_run(folder / "finder", day(6), [first, second]))
    return made
