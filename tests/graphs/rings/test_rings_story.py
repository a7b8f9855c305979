"""A mule chain and a device farm by hand: what is told of them, in tables, words and pictures, and from run to run."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from graphs.errors import ConfigError, NotFoundError
from graphs.rings.features import FEATURES
from graphs.rings.folder import read_folder, write_folder
from graphs.rings.picture import Line, Shape, draw
from graphs.rings.probability import SCORED, STRUCTURE, p_ring
from graphs.rings.report import SCHEMAS
from graphs.rings.run import find
from graphs.rings.suspicion import plausible

DAY, HOUR = 86_400_000_000, 3_600_000_000


def chain(day, *, victims="vwxy"):
    """Each victim's 100 goes a → b → c → o within hours; everybody but the victims acts on device d."""
    for number, victim in enumerate(victims):
        at = (day + number) * DAY
        for hop, (source, target) in enumerate([(victim, "a"), ("a", "b"), ("b", "c"), ("c", "o")]):
            yield {
                "id": f"t{day}.{number}.{hop}", "type": "transfer", "sender": source, "receiver": target,
                "time": at + hop * HOUR, "amount": 100.0 - 5 * hop, "label": 1, "label_known": at + 10 * DAY,
                "device": "d" if hop else f"own-{victim}",
            }  # fmt: skip
    yield {"id": f"l{day}", "type": "login", "sender": "o", "device": "d", "time": (day + 3) * DAY}


@pytest.fixture
def found(log_from_rows, finder):
    """A function (rows, as_of day=90, **options) -> RingFolder."""
    return lambda rows, day=90, **options: find(log_from_rows(list(rows)), finder, as_of=day * DAY, **options)


def rows_of(found, table, **where):
    rows = found.tables[table].to_pylist()
    return [row for row in rows if all(row[name] == value for name, value in where.items())]


def test_the_chain_is_one_ring_of_its_mules_and_organiser(found):
    told = found(chain(50))
    (ring,) = rows_of(told, "rings")
    assert (ring["kind"], ring["status"], ring["users"], ring["rank"]) == ("mule_chain", "born", 4, 1)
    roles = {row["entity_id"]: row["role"] for row in rows_of(told, "members", part="member")}
    assert roles == {"a": "mule", "b": "mule", "c": "mule", "o": "organiser"}


def test_victims_stand_around_the_ring_and_are_not_in_it(found):
    around = rows_of(found(chain(50)), "members", part="peripheral")
    assert {(row["entity_id"], row["role"]) for row in around} == {(name, "victim") for name in "vwxy"}


def test_confirmed_fraud_is_the_same_sum_in_words_and_in_the_ring_refunds_too(found):
    refunded = [row | ({"amount": -row["amount"]} if row["id"].endswith("2") else {}) for row in chain(50)]
    told = found(refunded)
    (evidence,), (ring,) = rows_of(told, "evidence", kind="known_fraud"), rows_of(told, "rings")
    assert evidence["value"] == ring["value_fraud"] == 4 * (100 + 95 + 90 + 85)


def test_evidence_says_what_happened_and_what_speaks_against_it(found):
    told = {row["kind"]: row for row in reversed(rows_of(found(chain(50)), "evidence"))}
    assert told["shared_identifier"]["text"].startswith("4 of 4 members used device d and nobody else")
    assert "3 members passed on 12 transfers, typically within 1.0 hours" in told["money_flow"]["text"]
    assert told["known_fraud"]["value"] == 4 * (100 + 95 + 90 + 85)
    assert any(
        "look like its victims" in row["text"] for row in rows_of(found(chain(50)), "evidence", kind="exculpatory")
    )


def test_money_in_the_tables_adds_up(found):
    told = found(chain(50))
    (ring,) = rows_of(told, "rings")
    payments = rows_of(told, "payments")
    assert sum(row["amount"] for row in payments) == ring["value_total"] == ring["value_fraud"]
    assert ring["score"] == ring["p_ring"] * ring["preventable_value"]


def test_every_table_is_as_the_contract_says(found):
    assert {name: table.schema for name, table in found(chain(50)).tables.items()} == dict(SCHEMAS)
    assert {name: table.schema for name, table in found([]).tables.items()} == dict(SCHEMAS)


def test_a_ring_keeps_its_id_grows_falls_asleep_and_wakes(found):
    rows = [*chain(50), *chain(150), *chain(300)]
    first = found(rows, 70)
    grown = found([*rows, *chain(60, victims="abcz")], 75, previous=first)
    asleep = found(rows, 145, previous=grown)
    awake = found(rows, 170, previous=asleep)
    ids = [rows_of(run, "rings")[0]["ring_id"] for run in (first, grown, asleep, awake)]
    assert len(set(ids)) == 1 and rows_of(asleep, "rings")[0]["status"] == "dormant"
    assert [row["change"] for row in rows_of(awake, "lineage")] == ["revived"]
    assert rows_of(awake, "rings")[0]["first_seen"] == rows_of(first, "rings")[0]["first_seen"]


def test_a_dormant_ring_leaves_the_books_after_another_window_unless_its_case_is_open(found):
    first = found(chain(50), 70)
    (ring,) = rows_of(first, "rings")
    assert not rows_of(found(chain(50), 250, previous=first), "rings")
    assert rows_of(found(chain(50), 250, previous=first, open_rings=[ring["ring_id"]]), "rings")


def test_the_folder_comes_back_as_it_was_written(found, tmp_path):
    told = found(chain(50))
    again = read_folder(write_folder(told, tmp_path / "found"))
    assert again.tables == told.tables and {"format": 1, **told.run} == again.run
    assert [path.stem for path in (tmp_path / "found" / "pictures").iterdir()] == list(told.pictures)


def test_a_folder_of_something_else_is_not_overwritten(found, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds something else"):
        write_folder(found(chain(50)), tmp_path)
    with pytest.raises(NotFoundError, match="holds no finder run"):
        read_folder(tmp_path)


# ---- pictures


def test_a_picture_is_well_formed_and_says_in_text_what_each_shape_is(found):
    (picture,) = found(chain(50)).pictures.values()
    titles = [element.text for element in ET.fromstring(picture).iter() if element.tag.endswith("title")]
    assert {"user o, organiser, score 1.00", "user v, victim, score 0.51", "device d"} <= set(titles)


def test_names_are_escaped():
    shape = Shape("user", "<script>&", "member", "member", None, 0.5, 0.5)
    picture = draw("<b>", '"&', [shape, replace(shape, entity_type="card", x=1.0)], [Line(0, 1, 3, directed=True)])
    assert "<script>" not in picture and ET.fromstring(picture) is not None


# ---- probability


def test_the_formula_names_every_feature_and_nothing_else():
    assert set(SCORED) == set(STRUCTURE) == {"bias", *FEATURES}


def test_p_ring_is_the_logistic_of_the_weighted_features():
    features = np.zeros((2, len(FEATURES)))
    features[1, FEATURES.index("separation")] = 1
    expected = [1 / (1 + np.exp(-SCORED["bias"])), 1 / (1 + np.exp(-SCORED["bias"] - SCORED["separation"]))]
    assert p_ring(features, scored=True) == pytest.approx(expected)


def test_scores_that_call_everybody_fraudulent_keep_their_order_only():
    assert plausible(np.array([1.0, 1.0, 0.9, np.nan])) == pytest.approx([0.03, 0.03, 0.02, np.nan], nan_ok=True)
    rare = np.r_[0.9, np.full(99, 0.001)]
    assert plausible(rare) == pytest.approx(rare)
