"""C29: a kiosk and a shop that everybody uses glue two rings and thirty strangers into one giant component."""

import json

import pandas as pd
import pytest

from graphs.config import check_config, compose

HEADER = "txn_id,user_id,device_id,card_id,merchant_id,amount,ts,label,label_known_at"
TWO_RINGS = {frozenset({"u1", "u2", "u3"}), frozenset({"u4", "u5", "u6"})}


def rows():
    for ring, users in (("A", ("u1", "u2", "u3")), ("B", ("u4", "u5", "u6"))):
        for i, user in enumerate(users):
            at, kiosk = f"2025-03-0{i + 1}T09:00:00Z", f"2025-03-0{i + 2}T09:00:00Z"
            yield f"r{ring}{i},{user},dev-{ring},c-{user},m-{ring}{i},20{i}.00,{at},1,2025-03-0{i + 6}T10:00:00Z"
            yield f"k{ring}{i},{user},kiosk-1,c-{user},m-hub,12.00,{kiosk},0,2025-03-0{i + 7}T10:00:00Z"
    for i in range(30):
        known = f"2025-03-{i % 9 + 6:02}T10:00:00Z"
        yield f"q{i},v{i},kiosk-1,c-v{i},m-hub,12.00,2025-03-0{i % 9 + 1}T12:00:00Z,0,{known}"


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Run `ringtrace find data=payments data.path=tx.csv …`; gives the output folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tx.csv").write_text("\n".join([HEADER, *rows()]) + "\n")

    def finding(*overrides):
        given = ["data=payments", "data.path=tx.csv", "output=found", *overrides]
        return check_config(compose("find_rings", given))()

    return finding


def members_of(folder):
    table = pd.read_parquet(folder / "members.parquet")
    users = table[table.part == "member"]
    assert set(users.entity_type) == {"user"}
    return {frozenset(part) for _, part in users.groupby("ring_id").entity_id}


@pytest.mark.parametrize("overrides", [["finder.hub_cap=10"], []], ids=["cap 10", "defaults"])
def test_c29_exactly_the_two_rings_are_found_and_no_stranger_is_in_one(find, overrides):
    assert members_of(find(*overrides)) == TWO_RINGS


def test_c29_the_hubs_are_told_with_degree_and_cap(find):
    hubs = json.loads((find("finder.hub_cap=10") / "run.json").read_text())["hubs"]
    found = {(hub["entity_type"], hub["entity_id"]): (hub["degree"], hub["cap"]) for hub in hubs}
    assert found == {("device", "kiosk-1"): (36, 10), ("merchant", "m-hub"): (36, 10)}


def test_c29_evidence_names_the_linking_device_the_payments_and_the_dates(find):
    folder = find()
    evidence = pd.read_parquet(folder / "evidence.parquet")
    shared = evidence[evidence.kind == "shared_identifier"]
    assert set(shared.entity_id) == {"dev-A", "dev-B"} and (shared.others == 0).all()
    assert shared.text.str.contains("3 of 3 members .* 3 times from 2025-03-01 to 2025-03-03").all()
    payments = pd.read_parquet(folder / "payments.parquet")
    assert sorted(payments.event_id) == ["rA0", "rA1", "rA2", "rB0", "rB1", "rB2"]


def test_c29_the_baseline_cuts_at_the_cap_too(find):
    assert members_of(find("finder=components")) == TWO_RINGS
