"""Reported faults of training and inference, each met with its small input: C16, C18, C19, C22, C23."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from graphs.config import run

HEADER = "txn_id,user_id,device_id,card_id,merchant_id,amount,ts,label,label_known_at"
QUICK = ("trainer.epochs=2", "trainer.threads=1", "evaluation.bootstrap=20", "comparison.controls=false")

Rows = Sequence[str]
Score = Callable[..., dict[str, dict[str, Any]]]


def payments(count: int = 40) -> list[str]:
    """A payment every twelve hours by eight users; every sixth is a fraud, known two days later."""
    rows = []
    for i in range(count):
        day, hour = 1 + i // 2, 8 + 12 * (i % 2)
        known = f"2025-03-{day + 2:02d}T10:00:00Z"
        who, amount, fraud = i * 5 % 8, 5 + (i * 37) % 60, int(i % 6 == 5)
        when = f"2025-03-{day:02d}T{hour:02d}:00:00Z"
        rows.append(f"h{i:02d},u{who},d{i * 3 % 8},c{who},m{i % 4},{amount}.50,{when},{fraud},{known}")
    return rows


def write(path: Path, rows: Rows, extra: str = "") -> Path:
    path.write_text("\n".join([HEADER + extra, *rows]) + "\n", encoding="utf-8")
    return path


def train(table: Path, output: Path, *overrides: str) -> Path:
    code = run("train", ["data=payments", f'data.path="{table}"', f'output="{output}"', *QUICK, *overrides])
    assert code == 0
    return output


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cases")


@pytest.fixture(scope="session")
def trained(folder: Path) -> Path:
    return train(write(folder / "history.csv", payments()), folder / "trained", "seed=3")


@pytest.fixture
def score(tmp_path: Path) -> Score:
    def call(run_folder: Path, rows: Rows, *overrides: str, extra: str = "", table: str = "events") -> Any:
        source, output = write(tmp_path / "new.csv", rows, extra), tmp_path / "scores"
        where = [f'bundle="{run_folder / "bundle"}"', f'output="{output}"']
        assert run("score", ["data=payments", f'data.path="{source}"', *where, *overrides]) == 0
        key = "event_id" if table == "events" else table
        return {row[key]: row for row in pq.read_table(output / f"{table}.parquet").to_pylist()}

    return call


# ---------------------------------------------------------------- C16 edges from the future

PROBE = "p1,u3,dX,c3,m1,25.00,2025-03-21T12:00:00Z,,"
FUTURE = [f"f{i},u{i},dX,c{i},m2,99.00,2025-03-2{2 + i % 3}T12:00:00Z,1,2025-03-25T10:00:00Z" for i in range(6)]
TIE = "{}1,u5,dX,c5,m1,80.00,2025-03-21T12:00:00Z,1,2025-03-21T12:00:00Z"


def test_c16_later_payments_do_not_change_a_score(trained: Path, score: Score) -> None:
    alone = score(trained, [PROBE])["p1"]
    assert score(trained, [*FUTURE, PROBE])["p1"]["logit"] == alone["logit"]
    assert score(trained, [PROBE, *reversed(FUTURE)])["p1"]["logit"] == alone["logit"]


def test_c16_payments_of_the_same_instant_do_not_see_each_other(trained: Path, score: Score) -> None:
    alone = score(trained, [PROBE])["p1"]
    assert score(trained, [TIE.format("a"), PROBE])["p1"]["logit"] == alone["logit"]
    assert score(trained, [PROBE, TIE.format("z")])["p1"]["logit"] == alone["logit"]
    assert alone["new_entities"] == ["device"]


# ---------------------------------------------------------------- C18 a column that is the answer


@pytest.fixture(scope="module")
def answered(folder: Path) -> Path:
    """Amount alone tells the label, and so do two columns that were written after the fact."""
    rows = []
    for i, row in enumerate(payments()):
        cells = row.split(",")
        fraud = cells[7] == "1"
        cells[5] = f"{900 + i}" if fraud else f"{10 + i}"
        rows.append(",".join([*cells, "open" if fraud else "none", f"D{i}" if fraud else ""]))
    return write(folder / "answered.csv", rows, ",case_status,dispute_ref")


def test_c18_columns_that_are_the_answer_are_named(
    answered: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    columns = "data.events.payment.categorical=[case_status,dispute_ref]"
    code = run("train", ["data=payments", f'data.path="{answered}"', columns, f'output="{tmp_path / "run"}"', *QUICK])
    assert code == 3
    assert "case_status" in caplog.text and "allow_columns=[case_status]" in caplog.text
    assert not (tmp_path / "run" / "bundle").exists()


def test_c18_the_graph_is_not_praised_for_what_the_amount_tells(answered: Path, tmp_path: Path) -> None:
    output = train(answered, tmp_path / "run", "allow_columns=[amount]")
    judged = json.loads((output / "metrics.json").read_text())["evaluation"]["events"]
    assert judged["outcome"] != "adds"


def test_faults_of_the_tables_are_left_in_the_run_folder(tmp_path: Path) -> None:
    table = write(tmp_path / "bad.csv", [*payments(3), PROBE.replace("25.00", "five")])
    run_folder = tmp_path / "run"
    assert run("train", ["data=payments", f'data.path="{table}"', f'output="{run_folder}"', *QUICK]) == 3
    (fault,) = json.loads((run_folder / "validation.json").read_text())["faults"]
    assert (fault["column"], fault["rows"], fault["values"]) == ("amount", [4], ["five"])


def test_a_finished_run_stays_whole_where_another_fails(folder: Path, trained: Path, tmp_path: Path) -> None:
    kept = Path(shutil.copytree(trained, tmp_path / "run"))
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file() and path.suffix != ".log"}
    good, bad = folder / "history.csv", write(tmp_path / "bad.csv", [PROBE.replace("25.00", "five")])
    where = ["data=payments", f'output="{kept}"', *QUICK]
    assert run("train", [*where, f'data.path="{bad}"']) == 3
    assert run("train", [*where, f'data.path="{good}"', "split.test_from=2024-01-01"]) == 2
    assert run("train", [*where, f'data.path="{good}"', "seed=4", f'resume_from="{trained}"']) == 2
    assert run("ingest", ["data=payments", f'data.path="{good}"', f'output="{kept}"']) == 2
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file() and path.suffix != ".log"} == before


BOTH = ("task=events_and_users", "task.nodes.0.every_days=1", "task.nodes.0.active_days=3")


def test_nothing_of_an_earlier_run_passes_for_what_the_next_one_there_says(folder: Path, tmp_path: Path) -> None:
    where, again = tmp_path / "run", tmp_path / "again"
    for settings, kinds in ((BOTH, {"", "_user"}), (("model=hetero_sage",), {""})):
        train(write(tmp_path / "history.csv", payments()), where, *settings)
        assert run("evaluate", [f'run="{where}"', f'output="{again}"']) == 0
        assert {path.stem.removeprefix("test_scores") for path in where.glob("test_scores*")} == kinds
        for judged in (where, again):
            assert {path.stem.removeprefix("report") for path in judged.glob("report*")} == kinds
        assert (where / "bundle").exists() == ("_user" in kinds)


def test_scores_of_entities_go_when_the_next_run_there_scores_events_alone(folder: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "history.csv", payments())
    bundle = train(table, tmp_path / "run", *BOTH) / "bundle"
    for entities, there in (("[user]", {"events", "user"}), ("[]", {"events"})):
        told = [f'data.path="{table}"', f'bundle="{bundle}"', "history=false", f'output="{tmp_path / "scores"}"']
        assert run("score", ["data=payments", *told, f"entities={entities}"]) == 0
        assert {path.stem for path in (tmp_path / "scores").glob("*.parquet")} == there


# ---------------------------------------------------------------- C19 absent types


def island(first_day: int, parties: str, fraud_at: int) -> list[str]:
    """Six payments on six days; `parties` is a template of user to merchant."""
    return [
        f"t{first_day + i:02d},{parties.format(i % 3, i % 2)},1{i}.00,2025-03-{first_day + i:02d}T10:00:00Z,"
        f"{int(i == fraud_at)},2025-03-{first_day + i + 1:02d}T10:00:00Z"
        for i in range(6)
    ]


ISLANDS = [
    *island(1, "u{0},d{1},c{0},m0", 3),
    *island(10, "u1{0},,c1{0},m9", 2),
    "t99,uLONE,,,mLONE,5.00,2025-03-17T10:00:00Z,0,2025-03-18T10:00:00Z",
]


@pytest.fixture(scope="module")
def island_run(folder: Path) -> Path:
    table = write(folder / "islands.csv", ISLANDS)
    return train(table, folder / "islands", "trainer.block=2", "task=events_and_users", "split.test_share=0.3")


def test_c19_devices_in_one_island_train_in_tiny_blocks(island_run: Path) -> None:
    history = json.loads((island_run / "metrics.json").read_text())["history"]
    assert len(history) == 2
    assert all(record["loss"] < 10 for record in history)


def test_c19_every_user_has_a_finite_score(island_run: Path, score: Score) -> None:
    users = score(island_run, ISLANDS, "entities=[user]", "history=false", table="user")
    assert set(users) == {"u0", "u1", "u2", "u10", "u11", "u12", "uLONE"}
    assert all(0 <= row["score"] <= 1 for row in users.values())


def test_c19_a_file_without_any_device_is_scored_and_trained_on(island_run: Path, score: Score, tmp_path: Path) -> None:
    bare = [",".join([*row.split(",")[:2], "", *row.split(",")[3:]]) for row in ISLANDS]
    assert all(0 <= row["score"] <= 1 for row in score(island_run, bare, "history=false").values())
    output = train(write(tmp_path / "bare.csv", bare), tmp_path / "bare", "split.test_share=0.3")
    assert json.loads((output / "run.json").read_text())["entities"]["device"] == 0


def test_c19_payments_without_a_device_have_no_known_device(island_run: Path, tmp_path: Path) -> None:
    assert run("evaluate", [f'run="{island_run}"', f'output="{tmp_path / "again"}"']) == 0
    assert pq.read_table(island_run / "test_scores.parquet")["new.device"].null_count == 4
    for judged in (island_run, tmp_path / "again"):
        groups = json.loads((judged / "metrics.json").read_text())["evaluation"]["events"]["by_new_entity"]
        rows = {group["group"]: group["rows"] for group in groups}
        assert rows["user: new"] + rows["user: known"] == 4 and not any("device" in name for name in rows)


# ---------------------------------------------------------------- C22 same data, same seed


def test_c22_same_seed_same_model_whatever_the_order_of_rows(trained: Path, tmp_path: Path) -> None:
    shuffled = train(write(tmp_path / "shuffled.csv", payments()[::-1]), tmp_path / "run", "seed=3")
    for name in ("weights.safetensors", "spaces.safetensors", "vocabularies.parquet"):
        assert (shuffled / "bundle" / name).read_bytes() == (trained / "bundle" / name).read_bytes()
    facts = [json.loads((each / "run.json").read_text()) for each in (trained, shuffled)]
    assert facts[0]["fingerprint"] == facts[1]["fingerprint"]
    assert {"seed", "threads", "workers", "versions"} <= facts[0].keys()


def test_c22_two_exports_of_one_model_are_identical(trained: Path, score: Score) -> None:
    assert score(trained, payments(), "history=false") == score(trained, payments()[::-1], "history=false")


# ---------------------------------------------------------------- C23 never seen in training

CHANNEL = "data.events.payment.categorical=[channel]"


@pytest.fixture(scope="module")
def with_channel(folder: Path) -> Path:
    rows = [f"{row},{'web' if i % 2 else 'app'}" for i, row in enumerate(payments())]
    return train(write(folder / "channel.csv", rows, ",channel"), folder / "channel", CHANNEL)


def test_c23_new_entities_and_categories_are_scored_and_marked(with_channel: Path, score: Score) -> None:
    new = [
        "s1,u3,d2,c3,m1,25.00,2025-03-21T10:00:00Z,,,web",
        "s2,uNEW,dNEW,cNEW,mNEW,25.00,2025-03-21T11:00:00Z,,,web",
        "s3,u3,d2,c3,m1,25.00,2025-03-21T12:00:00Z,,,kiosk",
        "s4,u3,d2,c3,m1,25.00,2025-03-21T13:00:00Z,,,",
    ]
    rows = score(with_channel, new, CHANNEL, extra=",channel")
    assert all(0 <= row["score"] <= 1 for row in rows.values())
    assert rows["s2"]["new_entities"] == ["user", "device", "card", "merchant"]
    assert (rows["s3"]["unseen_categories"], rows["s4"]["missing_categories"]) == (["channel"], ["channel"])
    assert score(with_channel, new[:1], CHANNEL, extra=",channel")["s1"]["logit"] == rows["s1"]["logit"]


def test_c23_a_file_of_a_header_alone_is_scored_to_no_row(with_channel: Path, score: Score) -> None:
    for history in ("true", "false"):
        assert score(with_channel, [], CHANNEL, f"history={history}", extra=",channel") == {}


def test_c23_a_column_that_the_model_has_and_the_mapping_lacks_is_named(
    with_channel: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = write(tmp_path / "new.csv", [PROBE])
    where = [f'data.path="{table}"', f'bundle="{with_channel / "bundle"}"', f'output="{tmp_path / "scores"}"']
    for history in ("true", "false"):
        caplog.clear()
        assert run("score", ["data=payments", *where, f"history={history}"]) == 2
        assert "channel" in caplog.text
    assert run("score", ["data=payments", *where, CHANNEL]) == 3
    assert "or add it, empty, where a model" in caplog.text


def test_scoring_the_table_a_model_was_trained_on_counts_every_event_once(trained: Path, score: Score) -> None:
    assert score(trained, payments()) == score(trained, payments(), "history=false")


def test_a_past_that_is_missing_or_another_is_told(
    trained: Path, island_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(trained / "bundle", tmp_path / "copy" / "bundle")
    where = [f'data.path="{write(tmp_path / "new.csv", [PROBE])}"', f'bundle="{tmp_path / "copy" / "bundle"}"']
    for code, told in ((4, "history: there is no"), (2, "does not hold the events the model was trained on")):
        for verb in ("score", "export_embeddings"):
            caplog.clear()
            assert run(verb, ["data=payments", *where, f'output="{tmp_path / verb}"']) == code
            assert told in caplog.text
        shutil.copytree(island_run / "history", tmp_path / "copy" / "history", dirs_exist_ok=True)


def test_a_run_that_is_resumed_ends_in_the_same_model(trained: Path, folder: Path, tmp_path: Path) -> None:
    resumed = train(folder / "history.csv", tmp_path / "resumed", "seed=3", f'resume_from="{trained}"')
    weights = [(each / "bundle" / "weights.safetensors").read_bytes() for each in (trained, resumed)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("other", ["model.width=16", "split.test_share=0.5", "seed=4"])
def test_a_checkpoint_of_another_training_is_refused(
    trained: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, other: str
) -> None:
    where = [f'data.path="{folder / "history.csv"}"', f'output="{tmp_path / "run"}"', f'resume_from="{trained}"']
    assert run("train", ["data=payments", *where, *QUICK, "seed=3", other]) == 2
    key, value = other.split("=")
    assert f"told otherwise: {key} was" in caplog.text and f"is {value}. Resume" in caplog.text


def test_c23_a_run_is_gone_on_with_on_more_data_with_new_entities(
    with_channel: Path, folder: Path, tmp_path: Path
) -> None:
    more = (folder / "channel.csv").read_text().splitlines()[1:]
    more += [
        "s2,uNEW,dNEW,cNEW,mNEW,25.00,2025-03-21T11:00:00Z,,,web",
        *(f"s{n},u3,d2,c3,m1,25.00,2025-03-02T{n + 7:02}:00:00Z,,,kiosk" for n in range(3, 13)),
    ]
    union = write(tmp_path / "union.csv", more, ",channel")
    grown = train(union, tmp_path / "grown", CHANNEL, f'resume_from="{with_channel}"')
    weights = [(each / "bundle" / "weights.safetensors").read_bytes() for each in (with_channel, grown)]
    losses = [json.loads((each / "metrics.json").read_text())["history"][0]["loss"] for each in (grown, with_channel)]
    assert weights[0] != weights[1]
    assert losses[0] < losses[1]
    known = [
        pq.read_table(each / "bundle" / "vocabularies.parquet")["word"].to_pylist() for each in (with_channel, grown)
    ]
    assert known[0] == known[1] and known[0], "a category keeps its number, and so its weights"


def test_a_sweep_is_a_command_like_any_other(folder: Path, trained: Path, tmp_path: Path) -> None:
    told = ["data=payments", f"data.path={folder / 'history.csv'}", *QUICK, "trainer.epochs=1"]
    assert run("sweep", ["trials=2", f"overrides={json.dumps(told)}", f'output="{tmp_path / "sweep"}"']) == 0
    assert len(json.loads((tmp_path / "sweep" / "trials.json").read_text())) == 2


def test_every_task_of_a_run_is_judged_again(folder: Path, trained: Path, tmp_path: Path) -> None:
    both = train(folder / "history.csv", tmp_path / "both", *BOTH)
    again = tmp_path / "again"
    assert run("evaluate", [f'run="{both}"', "evaluation.alert_budget=3", f'output="{again}"']) == 0
    assert {path.parent.name for path in (both / "tensorboard").rglob("tensors.tsv")} == {"events", "user"}
    before, after = (json.loads((each / "metrics.json").read_text())["evaluation"] for each in (both, again))
    assert set(after) == {"events", "user"}
    for task_name in after:
        assert after[task_name]["spec"]["alert_budget"] == 3
        first, second = ({row["model"]: row["ap"] for row in each[task_name]["table"]} for each in (before, after))
        assert second.items() <= first.items() and {"temporal_sage", "lightgbm_aggregates"} <= set(second)
    assert "Which user: both, judged again" in (again / "report_user.html").read_text()


def test_the_reference_is_judged_again_under_its_own_name(folder: Path, trained: Path, tmp_path: Path) -> None:
    stock = train(folder / "history.csv", tmp_path / "stock", "model=hetero_sage")
    assert run("evaluate", [f'run="{stock}"', f'output="{tmp_path / "again"}"']) == 0
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())["evaluation"]["events"]
    assert again["model"] == again["table"][0]["model"] == "hetero_sage"


def test_a_run_says_what_its_probabilities_rest_on(trained: Path) -> None:
    told = json.loads((trained / "metrics.json").read_text())["calibration"]["events"]
    assert "validation rows" in told and told in (trained / "report.html").read_text()


def test_the_network_stands_beside_every_floor(folder: Path, trained: Path, tmp_path: Path) -> None:
    judged = train(folder / "history.csv", tmp_path / "judged", "comparison.controls=true")
    scores = pq.read_table(judged / "test_scores.parquet").to_pydict()
    floors = {"class_rate", "lightgbm_raw", "lightgbm_aggregates", "no_edges", "shuffled_edges"}
    assert {name.removeprefix("compared.") for name in scores if name.startswith("compared.")} == floors
    assert len({tuple(scores[name]) for name in ("score", "compared.no_edges", "compared.shuffled_edges")}) == 3


def test_tensorboard_shows_one_training_from_its_first_epoch_on(folder: Path, trained: Path, tmp_path: Path) -> None:
    where = tmp_path / "run"
    train(folder / "history.csv", where, "seed=4")
    train(folder / "history.csv", where, "seed=3", f'resume_from="{trained}"')
    board = EventAccumulator(str(where / "tensorboard")).Reload()
    losses = [
        (record["epoch"], record["loss"]) for record in json.loads((where / "metrics.json").read_text())["history"]
    ]
    assert [(shown.step, shown.value) for shown in board.Scalars("train/loss")] == losses


def test_tensorboard_shows_training_judgement_and_embeddings(trained: Path) -> None:
    board = trained / "tensorboard"
    assert any(path.name.startswith("events.out") for path in board.iterdir())
    words = next(board.rglob("metadata.tsv")).read_text().split()
    assert len(words) == 8 and set(words) <= {"fraud", "clean"}
