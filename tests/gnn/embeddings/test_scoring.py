"""What is scored: events of the types that the model learnt labels of, and entities it has a head for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnn import embedding_export, pipeline
from gnn.bundle import Bundle
from gnn.embedding_table import entity_schema, event_schema
from gnn.nodes import NodeQuestions, graph_columns, node_columns
from gnn.scoring import score_tables, with_history
from graphs.behaviour import ASKED_FOR, FAMILIES, BehaviourSpec
from graphs.errors import ConfigError
from graphs.events import ALWAYS, NEVER, UNLABELLED, EventLog
from graphs.history import known_at, without_events_of
from graphs.ingest import Ingested
from graphs.report import ValidationReport
from graphs.schema import RESERVED_NAMES
from graphs.store import save_log
from graphs.temporal_graph import TemporalGraph

DAY = 86_400_000_000


@pytest.fixture
def ingested(random_log: Callable[..., EventLog]) -> Ingested:
    """Logins, payments and transfers."""
    return ingested_of(random_log(3, 60))


def ingested_of(log: EventLog) -> Ingested:
    return Ingested(log, ValidationReport((), {}, (), (), ()))


@pytest.fixture
def bundle(ingested: Ingested, bundle_of: Callable[..., Bundle]) -> Bundle:
    """A model that learnt labels of payments and transfers."""
    return replace(bundle_of(ingested.log), taught=("payment", "transfer"))


def test_events_of_which_no_label_was_learnt_have_no_score(ingested: Ingested, bundle: Bundle) -> None:
    scored = score_tables(bundle, ingested, None)
    kinds = [ingested.log.event_types[code] for code in ingested.log.event_type]
    assert sorted(scored.tables["events"]["event_type"].to_pylist()) == sorted(k for k in kinds if k != "login")
    assert scored.summary["events"]["not_scored"] == {"login": kinds.count("login")}


def test_no_role_or_type_can_be_named_like_a_column_that_is_written(ingested: Ingested, bundle: Bundle) -> None:
    tables = score_tables(bundle, ingested, None, entity_types=["user"]).tables
    embedded = {*event_schema([], 8).names, *entity_schema("user", 8).names}
    roles = {role.name for role in ingested.log.roles}
    written = {*tables["events"].column_names, *tables["user"].column_names, *embedded}
    assert written - roles - {"user"} <= set(RESERVED_NAMES)


def test_what_was_left_out_changes_no_score(ingested: Ingested, bundle: Bundle) -> None:
    everything = score_tables(replace(bundle, taught=bundle.event_types), ingested, None).tables["events"].to_pylist()
    told = score_tables(bundle, ingested, None).tables["events"].to_pylist()
    assert [row["logit"] for row in told] == [row["logit"] for row in everything if row["event_type"] != "login"]


def test_a_model_of_entities_alone_scores_these(ingested: Ingested, bundle: Bundle) -> None:
    of_users = replace(bundle, taught=())
    with pytest.raises(ConfigError, match="scores no events; ask it about user"):
        score_tables(of_users, ingested, None)
    assert set(score_tables(of_users, ingested, None, entity_types=["user"]).tables) == {"user"}


def test_a_batch_without_events_is_scored_to_tables_without_rows(
    ingested: Ingested, bundle: Bundle, tmp_path: Path
) -> None:
    save_log(ingested.log, tmp_path / "history")
    nothing = replace(ingested, log=known_at(ingested.log, -1))
    full = score_tables(bundle, ingested, None).tables["events"]
    for history in (None, tmp_path / "history"):
        scored = score_tables(bundle, nothing, history)
        assert scored.tables["events"].schema == full.schema and scored.summary["events"]["rows"] == 0
    users = score_tables(bundle, nothing, tmp_path / "history", entity_types=["user"]).tables["user"]
    assert len(users) == len(ingested.log.entity_ids["user"])
    with pytest.raises(ConfigError, match="as_of: there is no event after which to score"):
        score_tables(bundle, nothing, None, entity_types=["user"])


def test_columns_that_the_model_reads_and_the_tables_lack_are_named(ingested: Ingested, bundle: Bundle) -> None:
    bare = replace(ingested.log, categorical={}, numeric={}, attributes={})
    with pytest.raises(ConfigError, match=r"size, sender\.limit, receiver\.limit, .*channel, .*limit, tier\. Map them"):
        score_tables(bundle, replace(ingested, log=bare), None)


@pytest.mark.parametrize("verb", [pipeline.score, embedding_export.export_embeddings])
def test_a_mapping_without_the_amounts_of_training_is_refused(
    verb: Callable[..., object], bundle: Bundle, tmp_path: Path
) -> None:
    payment = {"path": "tx.csv", "id": "id", "time": "ts", "roles": {"user": "user_id"}, "amount": "total"}
    replace(bundle, data={"events": {"payment": payment}}).save(tmp_path / "bundle")
    data = {"events": {"payment": {**payment, "amount": None}}}
    rest = {} if verb is pipeline.score else dict.fromkeys(("schedule", "health", "alignment"))
    with pytest.raises(ConfigError, match=r"data\.events\.payment\.amount: missing, and the model was trained with"):
        verb(bundle=str(tmp_path / "bundle"), data=data, output=str(tmp_path / "out"), **rest)


def test_history_that_goes_for_equal_made_ids_is_counted(
    log_from_rows: Callable[..., EventLog], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = [{"type": "payment", "id": f"{n:016x}-0", "time": n * DAY, "sender": "u1"} for n in range(4)]
    save_log(log_from_rows(made[:3]), tmp_path / "made")
    _, asked = with_history(log_from_rows(made[2:]), tmp_path / "made")
    assert asked.sum() == 2 and "1 events of the history have an id, made of content" in caplog.text
    caplog.clear()
    given = [{**row, "id": f"p{row['time']}"} for row in made]
    save_log(log_from_rows(given[:3]), tmp_path / "given")
    with_history(log_from_rows(given[2:]), tmp_path / "given")
    assert not caplog.text


def test_rows_that_come_again_without_labels_take_none_back(ingested: Ingested, bundle: Bundle, tmp_path: Path) -> None:
    log, cut = ingested.log, int(ingested.log.event_time[40])
    save_log(known_at(log, cut), tmp_path / "history")
    bare = replace(log, label=np.full(len(log), UNLABELLED, np.int8), label_known_time=np.full(len(log), NEVER))
    fresh, everything = (ingested_of(without_events_of(bare, known_at(log, until))) for until in (cut, ALWAYS))
    once, again = (score_tables(bundle, tables, tmp_path / "history") for tables in (fresh, everything))
    logits = {row["event_id"]: row["logit"] for row in again.tables["events"].to_pylist()}
    told = once.tables["events"].to_pylist()
    assert len(told) > 5 and [row["logit"] for row in told] == [logits[row["event_id"]] for row in told]
    assert once.summary["labels_kept"] == 0
    assert again.summary["labels_kept"] == (known_at(log, cut).label != UNLABELLED).sum() > 5


def test_a_new_verdict_goes_for_the_one_in_the_history(log_from_rows: Callable[..., EventLog], tmp_path: Path) -> None:
    paid = [{"type": "payment", "id": f"p{day}", "time": day * DAY, "sender": "u1"} for day in range(3)]
    save_log(log_from_rows([row | {"label": 0, "label_known": 9 * DAY} for row in paid]), tmp_path / "history")
    graph, _ = with_history(
        log_from_rows([paid[1] | {"label": 1, "label_known": 5 * DAY}, paid[2]]), tmp_path / "history"
    )
    assert graph.log.label.tolist() == [0, 1, 0]
    assert (graph.log.label_known_time // DAY).tolist() == [9, 5, 9]


@pytest.mark.parametrize("family", [*FAMILIES, *ASKED_FOR])
def test_no_rows_have_the_columns_that_rows_have(ingested: Ingested, family: str) -> None:
    spec = BehaviourSpec(families=(family,))
    some, none = (TemporalGraph.build(log) for log in (ingested.log, known_at(ingested.log, ALWAYS)))
    nobody = np.zeros(0, np.int32)
    questions = NodeQuestions("user", nobody, nobody.astype(np.int64))
    for columns in (lambda graph: graph_columns(graph, spec)[0], lambda graph: node_columns(graph, questions, spec)):
        assert columns(none).names == columns(some).names
        assert columns(none).categorical.keys() == columns(some).categorical.keys()


def test_entities_of_which_nothing_was_known_by_then_have_no_row(
    bundle: Bundle, log_from_rows: Callable[..., EventLog]
) -> None:
    first, second = ({"id": f"e{day}", "type": "payment", "time": day * DAY, "sender": f"u{day}"} for day in (1, 3))
    versions = [{"type": "user", "id": f"u{day}", "known": day * DAY, "tier": "gold", "limit": 1.0} for day in (2, 4)]
    log = log_from_rows([first, second], [*versions, {"type": "device", "id": "d1", "known": 0}])
    then = score_tables(bundle, ingested_of(log), None, entity_types=["user"], as_of="1970-01-04")
    assert then.tables["user"]["user"].to_pylist() == ["u1", "u2"]
    assert then.summary["user"] == {"rows": 2, "as_of": "1970-01-04T00:00:00Z", "not_known_yet": 2}


def test_entities_scored_as_of_an_instant_know_nothing_of_what_comes_later(ingested: Ingested, bundle: Bundle) -> None:
    def users(log: EventLog) -> list[dict[str, object]]:
        scored = score_tables(bundle, ingested_of(log), None, entity_types=["user"], as_of="1970-01-04T12:00:00")
        return sorted(scored.tables["user"].to_pylist(), key=lambda row: row["user"])

    then = users(known_at(ingested.log, 3 * DAY + DAY // 2))
    assert len(then) > 2 and users(ingested.log) == then


def test_a_span_that_ends_before_it_starts_is_refused(ingested: Ingested, bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="start: 2025-02-01 does not lie before stop=2025-01-01"):
        score_tables(bundle, ingested, None, start="2025-02-01", stop="2025-01-01")
