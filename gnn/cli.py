"""`ringtrace <verb> [group=option] [key=value]`: the scripts' verbs under one command, with the same configs."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence

from graphs.config import run
from graphs.signatures import nearest

VERBS = {
    "world": ("make_world", "generate a small world of payments with planted fraud rings"),
    "ingest": ("ingest", "read and validate tables, keep the event log and a report of what was doubtful"),
    "build": ("build_graph", "build the temporal graph and keep it as memory-mapped arrays"),
    "train": ("train", "train a model, judge it beside the floors, leave a bundle"),
    "evaluate": ("evaluate", "judge a finished run again"),
    "score": ("score", "score events and entities with a bundle"),
    "find": ("find_rings", "find fraud rings, ranked, with evidence and pictures"),
    "embed": ("export_embeddings", "publish vectors of entities and events for a downstream model"),
    "similar": ("similar_embeddings", "who is most like this one, by published vectors"),
    "compare": ("compare_embeddings", "do two exports of vectors say the same"),
    "feast": ("feature_repository", "generate a Feast feature repository over published vectors"),
    "downstream": ("downstream", "prove what a run's vectors add to boosted trees"),
    "sweep": ("sweep", "search hyper-parameters with Optuna"),
}
"""Verb to (its config and script, what it does)."""

USAGE = """usage: ringtrace <verb> [group=option] [key=value] …

{verbs}
  rings       work on what was found: queue, evidence, cases, verdicts (`ringtrace rings --help`)
  serve       the same over HTTP: API and console (`ringtrace serve --help`)

`ringtrace <verb> --help` lists what a verb can be told."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code (0 done, 2 configuration or output, 3 data, 4 not found, 1 our fault)."""
    verb, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if verb in ("-h", "--help"):
        print(USAGE.format(verbs="\n".join(f"  {name:<12}{what}" for name, (_, what) in VERBS.items())))
        return 0
    if verb == "--version":
        print(importlib.metadata.version("ringtrace"))
        return 0
    if verb == "rings":
        from graphs.investigation.cli import main as rings  # brings SQLAlchemy, which no other verb needs

        return rings(rest)
    if verb == "serve":
        from graphs.investigation.serving import main as serve

        return serve(rest)
    if verb not in VERBS:
        known = ", ".join(VERBS)
        sys.stderr.write(f"{verb}: no such verb{nearest(verb, VERBS)}; there are: {known}\n")
        return 2
    config, _ = VERBS[verb]
    return run(config, rest, program=f"ringtrace {verb}")


if __name__ == "__main__":
    sys.exit(main())
