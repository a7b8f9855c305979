"""A finder run as a whole: same input, same rings; nothing later matters; order of rows doesn't; ids last."""

import json
from dataclasses import replace

import numpy as np

from graphs.rings.run import find


def spelt(found):
    tables = {name: table.to_pylist() for name, table in found.tables.items()}
    return json.dumps([found.run, tables, found.pictures], default=str)


def middle(log):
    return int(np.quantile(log.event_time, 0.7))


def test_the_same_input_gives_the_same_folder(small_log, finder):
    found, again = (find(small_log, finder, as_of=middle(small_log)) for _ in range(2))
    assert found.tables["rings"].num_rows and spelt(found) == spelt(again)


def test_nothing_known_at_as_of_or_later_changes_anything(small_log, finder):
    as_of = middle(small_log)
    log = small_log
    early = log.visible_time < as_of
    flipped = np.where((log.label >= 0) & (log.label_known_time > as_of), 1 - log.label, log.label).astype(np.int8)
    shuffled = log.entities.copy()
    shuffled[~early] = np.random.default_rng(0).permutation(shuffled[~early])
    later = replace(log, label=flipped, entities=shuffled, amount=np.where(early, log.amount, 9e9))
    assert spelt(find(later, finder, as_of=as_of)) == spelt(find(log, finder, as_of=as_of))
