"""What investigators decided, in the next run: together, apart, nobody's link; and only from when it was known."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.errors import DataError, NotFoundError
from graphs.investigation.feedback import hints_from
from graphs.rings.hints import Hints, heed, read_hints
from graphs.rings.refine import Groups
from graphs.rings.run import find, lay_ground, rate
from graphs.rings.suspicion import NO_SCORES as NO

NONE = np.empty(0, np.int64)
PAIRS = np.empty((0, 2), np.int64)


def groups_of(*members):
    group = np.repeat(np.arange(len(members)), [len(its) for its in members])
    return Groups(group, np.concatenate(members).astype(np.int64), np.ones(len(group)))


def told(groups, *, must=PAIRS, cannot=PAIRS, alone=NONE, min_size=2):
    hints = Hints(np.array(must, np.int64), np.array(cannot, np.int64), np.array(alone, np.int64), NONE)
    found = heed(groups, hints, min_size=min_size)
    return [found.members(group).tolist() for group in range(found.count)]


def test_groups_of_two_who_must_be_together_are_one():
    assert told(groups_of([0, 1, 2], [2, 3, 4], [5, 6]), must=[[0, 4]]) == [[0, 1, 2, 3, 4], [5, 6]]


def test_who_is_in_no_group_joins_the_one_it_must_be_with():
    assert told(groups_of([0, 1], [2, 3]), must=[[9, 3], [7, 8]]) == [[0, 1], [2, 3, 9]]


def test_of_two_who_cannot_be_together_the_innocent_leaves():
    assert told(groups_of([0, 1, 2], [2, 3, 4]), cannot=[[0, 2]]) == [[0, 1], [2, 3, 4]]


def test_who_links_nobody_is_in_no_group_and_small_rests_go():
    assert told(groups_of([0, 1, 2], [2, 3]), alone=[2]) == [[0, 1]]


def test_must_and_never_together_never_wins():
    assert told(groups_of([0, 1], [2, 3]), must=[[1, 2]], alone=[1], min_size=1) == [[0], [2, 3]]


def table(*rows):
    names = ("hint", "left_type", "left_id", "right_type", "right_id")
    known = {"known_time": datetime(2025, 3, 1, tzinfo=UTC), "ring_id": None}
    return pa.Table.from_pylist(
        [{**dict(zip(names, row, strict=True)), **known} for row in rows], hints_from([]).schema
    )


def test_an_identifier_tagged_benign_ties_nobody(small_log, finder):
    as_of = int(small_log.event_time.max())
    members = find(small_log, finder, as_of=as_of).tables["members"].to_pylist()
    device = next(row["entity_id"] for row in members if (row["part"], row["entity_type"]) == ("identifier", "device"))
    hints = table(("never_link", "device", device, None, None))
    found = find(small_log, finder, as_of=as_of, hints=hints)
    ties = [row["entity_id"] for row in found.tables["members"].to_pylist() if row["part"] == "identifier"]
    assert device not in ties and found.run["hints"]["never_link"] == 1


def test_a_whole_run_parts_and_joins_as_it_is_told(small_log, finder):
    as_of = int(small_log.event_time.max())
    rated = rate(lay_ground(small_log, finder, NO, as_of=as_of), finder, seed=0)
    keys = rated.ground.window.log.entity_ids["user"]
    first, second = ([keys[int(code)].as_py() for code in rated.groups.members(group)] for group in (0, 1))
    rows = [("must_link", "user", first[0], "user", second[0]), ("cannot_link", "user", first[0], "user", first[1])]
    again = rate(lay_ground(small_log, finder, NO, as_of=as_of, hints=table(*rows)), finder, seed=0)
    names = [{keys[int(code)].as_py() for code in again.groups.members(group)} for group in range(again.groups.count)]
    assert any({first[0], second[0]} <= ring for ring in names)
    assert not any({first[0], first[1]} <= ring for ring in names)


def test_hints_on_what_the_tables_do_not_hold_are_left_out(small_log, finder):
    rows = [("must_link", "user", "nobody", "user", "no one"), ("never_link", "boat", "x", None, None)]
    ground = lay_ground(small_log, finder, NO, as_of=int(small_log.event_time.max()), hints=table(*rows))
    assert not len(ground.hints.must) and not len(ground.hints.silent)


def test_with_an_instant_only_hints_known_before_it_count(tmp_path):
    pq.write_table(table(("never_link", "user", "u1", None, None)), tmp_path / "hints.parquet")
    march = round(datetime(2025, 3, 1, tzinfo=UTC).timestamp() * 1e6)
    assert [len(read_hints(tmp_path, before=before)) for before in (march, march + 1, None)] == [0, 1, 1]


def test_a_folder_without_hints_or_with_other_columns_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="rings labels"):
        read_hints(tmp_path, before=None)
    pq.write_table(pa.table({"hint": ["must_link"]}), tmp_path / "hints.parquet")
    with pytest.raises(DataError, match="left_type"):
        read_hints(tmp_path, before=None)
