"""A folder is replaced whole, or stays what it was."""

from pathlib import Path

import pytest

from graphs.folders import kept_records, read_whole, verb_of, whole_folder, write_text


def test_the_old_folder_stays_where_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "mark").write_text("v1")
    rename = Path.rename

    def rename_but_not_the_new_one(path, target):
        if (path / "mark").read_text() == "v2":
            raise OSError("no room")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_but_not_the_new_one)
    with pytest.raises(OSError, match="no room"), whole_folder(folder, "mark", "log") as made:
        (made / "mark").write_text("v2")
    assert (folder / "mark").read_text() == "v1"
    assert list(tmp_path.iterdir()) == [folder]


def write_version(folder, version):
    with whole_folder(folder, "mark", "log") as made:
        (made / "mark").write_text(version)
        (made / "more").write_text(version)


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    write_version(tmp_path / "disk" / "log", "v1")
    link, file = tmp_path / "log", tmp_path / "notes"
    link.symlink_to(tmp_path / "disk" / "log")
    file.symlink_to(tmp_path / "disk" / "notes")
    write_version(link, "v2")
    write_text(file, "v2")
    assert [path.is_symlink() for path in sorted(tmp_path.iterdir())] == [False, True, True]
    assert (tmp_path / "disk" / "log" / "mark").read_text() == (tmp_path / "disk" / "notes").read_text() == "v2"


def test_what_is_read_is_of_one_folder(tmp_path):
    folder, marks = tmp_path / "log", []
    write_version(folder, "v1")

    def read():
        marks.append((folder / "mark").read_text())
        if len(marks) == 1:
            write_version(folder, "v2")
        return marks[-1], (folder / "more").read_text()

    assert read_whole(folder, "mark", "log", read) == ("v2", "v2")


def test_a_folder_about_to_be_moved_there_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("graphs.folders.time.sleep", lambda seconds: write_version(tmp_path / "log", "v1"))
    assert read_whole(tmp_path / "log", "mark", "log", (tmp_path / "log" / "more").read_text) == "v1"


def stopped_run(folder, seed, *writes):
    """A run of `seed` that writes what it says of itself, then these files, and is stopped."""
    with pytest.raises(KeyboardInterrupt), kept_records(folder):
        (folder / "config.yaml").write_text(f"{{_target_: gnn.pipeline.train, seed: {seed}}}")
        for name in writes:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / f"{name}.new").write_text(f"{seed}")
            (folder / f"{name}.new").rename(folder / name)
        raise KeyboardInterrupt
    return (folder / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("finished", "writes", "left"),
    [
        ("metrics.json", ["training.safetensors"], 1),
        ("log/events.arrow", ["graph/events.arrow"], 1),
        ("metrics.json", ["metrics.json"], 2),
        ("bundle/weights.safetensors", ["training.safetensors", "bundle/weights.safetensors"], 2),
        ("training.safetensors", ["training.safetensors"], 2),
        ("training_refit.safetensors", [], 2),
        ("tensorboard/events", ["tensorboard/events.2"], 2),
        ("train.log", [], 2),
    ],
)
def test_records_go_with_the_results_beside_them(tmp_path, finished, writes, left):
    stopped_run(tmp_path, 1, finished)
    assert f"seed: {left}" in stopped_run(tmp_path, 2, *writes)


def test_a_stopped_training_holds_its_folder_against_other_verbs(tmp_path):
    stopped_run(tmp_path, 1, "train.log")
    assert verb_of(tmp_path) is None
    stopped_run(tmp_path, 1, "training.safetensors")
    assert verb_of(tmp_path) == "gnn.pipeline.train"
