"""A folder is replaced whole, or stays what it was."""

from pathlib import Path

import pytest

from graphs.folders import whole_folder


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
