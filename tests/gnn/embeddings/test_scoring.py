"""What is scored: events of the types that the model learnt labels of, and entities it has a head for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gnn.bundle import Bundle
from gnn.scoring import score_tables
from graphs.errors import ConfigError
from graphs.events import EventLog
from graphs.ingest import Ingested
from graphs.report import ValidationReport


@pytest.fixture
def ingested(random_log: Callable[..., EventLog]) -> Ingested:
    """Logins, payments and transfers."""
    return Ingested(random_log(3, 60), ValidationReport((), {}, (), (), ()))


@pytest.fixture
def bundle(ingested: Ingested, bundle_of: Callable[..., Bundle]) -> Bundle:
    """A model that learnt labels of payments and transfers."""
    return replace(bundle_of(ingested.log), taught=("payment", "transfer"))


def test_events_of_which_no_label_was_learnt_have_no_score(ingested: Ingested, bundle: Bundle) -> None:
    scored = score_tables(bundle, ingested, None)
    kinds = [ingested.log.event_types[code] for code in ingested.log.event_type]
    assert sorted(scored.tables["events"]["event_type"].to_pylist()) == sorted(k for k in kinds if k != "login")
    assert scored.summary["events"]["not_scored"] == {"login": kinds.count("login")}


def test_what_was_left_out_changes_no_score(ingested: Ingested, bundle: Bundle) -> None:
    everything = score_tables(replace(bundle, taught=bundle.event_types), ingested, None).tables["events"].to_pylist()
    told = score_tables(bundle, ingested, None).tables["events"].to_pylist()
    assert [row["logit"] for row in told] == [row["logit"] for row in everything if row["event_type"] != "login"]


def test_a_model_of_entities_alone_scores_these(ingested: Ingested, bundle: Bundle) -> None:
    of_users = replace(bundle, taught=())
    with pytest.raises(ConfigError, match="scores no events; ask it about user"):
        score_tables(of_users, ingested, None)
    assert set(score_tables(of_users, ingested, None, entity_types=["user"]).tables) == {"user"}
