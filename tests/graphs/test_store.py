"""A saved log comes back the same, and its fingerprint sees content, not order or cutting."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from graphs.errors import ConfigError, NotFoundError
from graphs.store import fingerprint, load_log, save_log


def test_a_log_comes_back_bit_for_bit(random_log, tmp_path):
    log = random_log(3)
    save_log(log, tmp_path / "log")
    back = load_log(tmp_path / "log")
    assert fingerprint(back) == fingerprint(log)
    assert back.event_ids.equals(log.event_ids)
    assert back.roles == log.roles
    np.testing.assert_array_equal(back.numeric["size"], log.numeric["size"])


def test_columns_are_mapped_not_read(random_log, tmp_path):
    save_log(random_log(3), tmp_path / "log")
    assert isinstance(load_log(tmp_path / "log").event_time, np.memmap)


def test_saving_again_replaces_the_log_and_leaves_nothing_else(random_log, tmp_path):
    save_log(random_log(1), tmp_path / "log")
    save_log(random_log(2), tmp_path / "log")
    assert fingerprint(load_log(tmp_path / "log")) == fingerprint(random_log(2))
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_folder_with_something_else_in_it_is_left_alone(random_log, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no event log"):
        save_log(random_log(1), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_missing_log_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(NotFoundError, match=str(tmp_path / "nowhere")):
        load_log(tmp_path / "nowhere")


def test_a_log_without_events_can_be_kept(log_from_rows, tmp_path):
    save_log(log_from_rows([]), tmp_path / "log")
    assert len(load_log(tmp_path / "log")) == 0


@pytest.mark.parametrize("name", ["event_time", "known_time", "label", "label_known_time", "amount", "entities"])
def test_every_changed_column_changes_the_fingerprint(random_log, name):
    log = random_log(5)
    changed = getattr(log, name).copy()
    changed[7] += 1
    assert fingerprint(dataclasses.replace(log, **{name: changed})) != fingerprint(log)


def test_how_a_text_column_was_cut_does_not_change_the_fingerprint(random_log):
    log = random_log(5)
    padded = pa.concat_arrays([pa.array(["x"]), log.event_ids])[1:]
    assert fingerprint(dataclasses.replace(log, event_ids=padded)) == fingerprint(log)
