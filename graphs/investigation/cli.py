"""`ringtrace rings …`: everything an investigator does, from a terminal.

Tables for people, `--json` for programs, and the same functions behind both as behind the HTTP API. Whoever may open
the database may act under its roles: the name is that of the login unless `--as` gives another, and both are kept.
"""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from graphs.errors import ConfigError, DataError, NotFoundError, RingtraceError
from graphs.investigation import exports, feedback, queries
from graphs.investigation.answers import QueueFilter
from graphs.investigation.completion import SHELLS, completion
from graphs.investigation.moments import in_days, read_moment
from graphs.investigation.narrative import plain_text
from graphs.investigation.screen import cards, printable, table, tell
from graphs.investigation.workspace import Workspace
from graphs.logs import mask
from graphs.stores import cases, lists, people
from graphs.stores.actors import ROLES, Actor
from graphs.stores.cases import OUTCOMES, VERDICTS
from graphs.stores.errors import ConflictError, ForbiddenError
from graphs.stores.importing import import_run
from graphs.stores.lists import LISTS

PROGRAM = "ringtrace rings"
WORKSPACE_VARIABLE = "RINGTRACE_WORKSPACE"
ACTOR_VARIABLE = "RINGTRACE_ACTOR"
DEFAULT_WORKSPACE = "outputs/workspace"

EXIT_CODES = {ConfigError: 2, DataError: 3, NotFoundError: 4, ConflictError: 5, ForbiddenError: 6}
"""Exit codes: 2 wrong words, 3 bad data, 4 not there, 5 somebody was first, 6 not allowed, 1 our fault."""


@dataclass(frozen=True)
class Command:
    """One word after `ringtrace rings`: its arguments, what it does, and how its answer is shown to people."""

    help: str
    example: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Workspace, Actor, argparse.Namespace], Any]
    show: Callable[[Any], str]


class Verbatim(str):
    """Text that goes out byte for byte: an export, a script."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (see EXIT_CODES)."""
    try:
        args = _parser().parse_args(sys.argv[1:] if arguments is None else list(arguments))
    except SystemExit as stop:  # argparse has told the user
        return int(stop.code or 0)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        answer, show = _answer(args)
        if isinstance(answer, Verbatim):
            sys.stdout.write(answer)
        elif args.json:
            sys.stdout.write(json.dumps(exports.plain(answer), indent=1, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(f"{printable(show(answer)).rstrip()}\n")
        sys.stdout.flush()
    except RingtraceError as error:
        sys.stderr.write(f"{mask(str(error))}\n")
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _answer(args: argparse.Namespace) -> tuple[Any, Callable[[Any], str]]:
    if args.command == "init":
        return _init(args), tell
    if args.command == "completion":
        return Verbatim(completion(args.shell, PROGRAM, _words())), str
    command = COMMANDS[args.command]
    workspace = Workspace.open(Path(args.workspace))
    try:
        return command.run(workspace, _actor(workspace, args.actor), args), command.show
    finally:
        workspace.close()


def _actor(workspace: Workspace, name: str | None) -> Actor:
    """Who acts, with their role in this store; the login goes into the audit beside another name."""
    login = getpass.getuser()
    name = name or login
    person = people.find_person(workspace.store, name)
    if person is None or not person.active:
        raise ForbiddenError(
            f"{name}: nobody of that name may act here; an admin adds them: {PROGRAM} person {name} viewer"
        )
    return Actor(name, person.role, "cli" if name == login else f"cli:{login}")


def _init(args: argparse.Namespace) -> str:
    """A workspace; whoever makes the first one of a store is its admin."""
    folder = Path(args.folder or args.workspace)
    graph, model = (None if path is None else Path(path) for path in (args.graph, args.model))
    workspace = Workspace.make(folder, graph=graph, store=args.store, person=args.person_type, model=model)
    name = args.actor or getpass.getuser()
    if not people.all_people(workspace.store):
        people.set_person(workspace.store, Actor(name, "admin", "cli"), name, "admin")
    workspace.close()
    return f"{folder}: ready; {PROGRAM} -w {folder} import RUN takes in what `ringtrace find` found"


# ---------------------------------------------------------------------------------------------------- arguments


def entity(text: str) -> tuple[str, str]:
    """TYPE:ID, as `device:d7dvw41cw`; the id may have colons, and may be a handle."""
    kind, mark, key = text.partition(":")
    if not (kind and mark and key):
        raise argparse.ArgumentTypeError(f"{text!r}: name an entity as TYPE:ID, like device:d7dvw41cw")
    return kind, key


def moment(text: str) -> datetime:
    """An instant: 2025-03-01, 2025-03-01T10:00Z, or how long ago: 36h, 7d."""
    try:
        return read_moment(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _arguments(*names: str) -> Callable[[argparse.ArgumentParser], None]:
    def add(parser: argparse.ArgumentParser) -> None:
        for name in names:
            flags, options = _ARGUMENTS[name]
            parser.add_argument(*flags, **options)

    return add


def _argument(*flags: str, **options: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return flags, options


_ARGUMENTS = {
    "runs": _argument("runs", nargs="+", metavar="RUN", help="folders that `ringtrace find` wrote, oldest first"),
    "text": _argument("text", metavar="ID", help="an id of any kind: user, card, device, ring, case, payment"),
    "ring": _argument("ring", metavar="RING", help="a ring's id, or one it had"),
    "case": _argument("case", metavar="CASE", help="a case (C-12), or a ring for its newest case"),
    "subject": _argument("subject", metavar="RING|TYPE:ID", help="a ring, or an entity"),
    "entity": _argument("entity", type=entity, metavar="TYPE:ID", help="like device:d7dvw41cw"),
    "entities": _argument("entities", type=entity, nargs="+", metavar="TYPE:ID", help="like device:d7dvw41cw"),
    "target": _argument("target", type=entity, metavar="TYPE:ID", help="where the paths lead"),
    "to": _argument("to", metavar="NAME", help="who is to work on it"),
    "verdict": _argument("verdict", metavar="VERDICT", help=f"one of {', '.join(VERDICTS)}"),
    "note": _argument("note", metavar="TEXT", help="the note"),
    "list": _argument("list", nargs="?", choices=LISTS, help="only this one"),
    "batch": _argument("batch", metavar="BATCH", help="which block, as `block` said"),
    "name": _argument("name", metavar="NAME", help="the person"),
    "role": _argument("role", choices=ROLES, help="what they may do"),
    "key_action": _argument("what", choices=("add", "list", "revoke"), help="of a person; revoke: one key"),
    "whose": _argument("whose", metavar="NAME", help="the person; for revoke what the key starts with: its prefix"),
    "setting": _argument("setting", metavar="SETTING", help="four_eyes: closing takes a second person"),
    "value": _argument("value", metavar="VALUE", help="as JSON: true, false"),
    "folder": _argument("folder", metavar="FOLDER", help="where to write"),
    "reason": _argument("--reason", required=True, help="why; it is kept"),
    "with_note": _argument("--note", dest="with_note", help="anything more to say"),
    "version": _argument("--version", type=int, help="only if the case is still of the version seen"),
    "limit": _argument("--limit", type=int, default=25, help="rows of a page (default 25)"),
    "cursor": _argument("--cursor", help="where the page before ended"),
    "since": _argument("--since", type=moment, help="2025-03-01, 36h, 7d"),
    "until": _argument("--until", type=moment, help="as one could have known then"),
    "since_when": _argument("--since", type=moment, default="1d", help="2025-03-01, 36h, 7d (default 1d)"),
    "types": _argument("--type", dest="types", action="append", default=[], help="only of this type; may repeat"),
    "k": _argument("--paths", dest="k", type=int, default=3, help="how many (default 3)"),
    "hops": _argument("--hops", type=int, default=6, help="at most so long (default 6)"),
    "hubs": _argument("--hubs", action="store_true", help="lead over identifiers of many persons, too"),
    "outcome": _argument("--outcome", metavar="OUTCOME", help=f"one of {', '.join(OUTCOMES)}"),
    "why": _argument("--reason", help="why; it is kept"),
    "approve": _argument("--approve", action="store_true", help="as the second person: close it"),
    "reject": _argument("--reject", action="store_true", help="as the second person: send it back"),
    "waiting_for": _argument("--for", dest="waiting_for", help="what a waiting case waits for"),
    "work": _argument("work", choices=("in_progress", "waiting"), help="where the work stands"),
    "expires": _argument("--days", type=float, default=None, help="for so many days"),
    "expires_benign": _argument("--days", type=float, default=90, help="for so many days (default 90)"),
    "yes": _argument("--yes", action="store_true", help="do it; without it only say whom it would touch"),
    "remove": _argument("--remove", action="store_true", help="take it off the list"),
    "format": _argument("--format", choices=("json", "csv", "pdf"), default="json", help="default json"),
    "table": _argument("--table", default="members", help=f"for csv: {', '.join(exports.RING_TABLES)}"),
    "output": _argument("--output", "-o", type=Path, help="a file (default: standard output)"),
    "data": _argument("--data", type=Path, help="the YAML of a data set, to be mapped with these labels"),
    "inactive": _argument("--inactive", action="store_true", help="they may no longer act"),
    "of": _argument("--subject", help="ring:R-7F3K2Q, case:C-12, card:…"),
    "by": _argument("--by", help="who"),
}  # fmt: skip


def _queue_arguments(parser: argparse.ArgumentParser) -> None:
    _arguments("limit", "cursor", "output")(parser)
    parser.add_argument("--sort", default="score", help=f"one of {', '.join(queries.SORTS)}")
    parser.add_argument("--mine", action="store_true", help="only my cases")
    parser.add_argument("--free", action="store_true", help="only those nobody has")
    parser.add_argument("--owner", help="only those of this person")
    parser.add_argument("--kind", dest="kinds", action="append", default=[], help="like device_farm; may repeat")
    parser.add_argument("--ring-status", dest="statuses", action="append", help="like grown; may repeat")
    parser.add_argument("--case-status", action="append", help="open, in_progress, waiting, closed; may repeat")
    parser.add_argument("--min-value", type=float, help="at least this preventable value")
    parser.add_argument("--min-p", type=float, help="at least this probability of being a ring")
    parser.add_argument("--active-since", type=moment, help="with a payment since: 2025-03-01, 7d")
    parser.add_argument("--csv", action="store_true", help="all pages as CSV")


def _where(actor: Actor, args: argparse.Namespace) -> QueueFilter:
    where = QueueFilter(
        owner=actor.name if args.mine else args.owner,
        unowned=args.free,
        kinds=tuple(args.kinds),
        statuses=tuple(args.statuses) if args.statuses else None,
        min_value=args.min_value,
        min_p=args.min_p,
        active_since=args.active_since,
    )
    return replace(where, case_status=tuple(args.case_status)) if args.case_status else where


# ----------------------------------------------------------------------------------------------------- commands


def _list(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    where = _where(actor, args)
    if args.csv:
        return _written(args.output, exports.queue_csv(workspace, actor, where=where, sort=args.sort))
    return queries.ring_queue(workspace, actor, where=where, sort=args.sort, limit=args.limit, cursor=args.cursor)


def _neighbours(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    return queries.neighbours(
        workspace, actor, args.entity, types=args.types, since=args.since, until=args.until, limit=args.limit,
        cursor=args.cursor,
    )  # fmt: skip


def _sharing(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    window = {"since": args.since, "until": args.until}
    return queries.shared_by(workspace, actor, args.entity, **window, limit=args.limit, cursor=args.cursor)


def _path(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    return queries.paths(
        workspace, actor, args.entity, args.target, k=args.k, max_hops=args.hops, hubs=args.hubs, since=args.since,
        until=args.until,
    )  # fmt: skip


def _timeline(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    subject = entity(args.subject) if ":" in args.subject else args.subject
    window = {"since": args.since, "until": args.until}
    return queries.timeline(workspace, actor, subject, **window, limit=args.limit, cursor=args.cursor)


def _verdict(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    kind, key = args.entity
    judged = (kind, workspace.masker(actor).open(key))
    given = cases.give_verdict(
        workspace.store, actor, args.case, judged, args.verdict, reason=args.reason, note=args.with_note,
        version=args.version,
    )  # fmt: skip
    return replace(given, entity_id=workspace.masker(actor).entity(*judged).text)


def _close(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    if args.approve:
        return cases.approve_close(workspace.store, actor, args.case, version=args.version)
    if not args.reason:
        raise ConfigError("--reason: say why; it is kept")
    if args.reject:
        return cases.reject_close(workspace.store, actor, args.case, reason=args.reason, version=args.version)
    if not args.outcome:
        raise ConfigError(f"--outcome: name one of {', '.join(OUTCOMES)}")
    return cases.close(workspace.store, actor, args.case, args.outcome, reason=args.reason, version=args.version)


def _mark(name: str) -> Callable[[Workspace, Actor, argparse.Namespace], Any]:
    def run(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
        kind, key = args.entity
        known = queries.entity_sheet(workspace, actor, kind, key)
        chosen = (kind, workspace.masker(actor).open(key))
        off, on = (lists.unwatch, lists.watch) if name == "watch" else (lists.untag_benign, lists.tag_benign)
        if args.remove:
            off(workspace.store, actor, chosen, reason=args.reason)
            return f"{kind} {known.entity.text} is off the list"
        mark = on(workspace.store, actor, chosen, reason=args.reason, expires_at=in_days(args.days))  # type: ignore[arg-type]
        return replace(mark, entity_id=known.entity.text)

    return run


def _block(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    plan = queries.block_dry_run(workspace, actor, args.entities)
    if not args.yes:
        return plan
    if not args.reason:
        raise ConfigError("--reason: say why; it is kept")
    masker = workspace.masker(actor)
    chosen = [(kind, masker.open(key)) for kind, key in args.entities]
    marks = lists.block(workspace.store, actor, chosen, reason=args.reason, expires_at=in_days(args.days))
    return f"{len(marks)} blocked as batch {marks[0].batch}; undo: {PROGRAM} unblock {marks[0].batch} --reason …"


def _unblock(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> str:
    return f"{lists.unblock(workspace.store, actor, args.batch, reason=args.reason)} no longer blocked"


def _key(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    if args.what == "list":
        return people.keys_of(workspace.store, actor, args.whose)
    if args.what == "revoke":
        people.revoke_key(workspace.store, actor, args.whose)
        return f"{args.whose}: ended, and the sessions made from it"
    try:
        from graphs.investigation.keys import make_key
    except ModuleNotFoundError as error:
        raise NotFoundError(f"{error.name} is not installed; pip install 'ringtrace[serve]'") from error
    key, kept = make_key(workspace.store, actor, args.whose, expires_at=in_days(args.days))
    return {"api_key": key, "prefix": kept.prefix, "person": kept.person, "expires_at": kept.expires_at}


def _show_keys(found: Any) -> str:
    if isinstance(found, tuple):
        return table(found, ("prefix", "person", "made_at", "expires_at", "revoked")) if found else "none"
    return found if isinstance(found, str) else f"{found['api_key']}\nshown this once; only its hash is kept"


def _export(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> Any:
    if args.format == "pdf":
        return _export_pdf(workspace, actor, args)
    if args.format == "csv":
        text = exports.ring_csv(workspace, actor, args.ring, args.table)
    else:
        found = exports.ring_json(workspace, actor, args.ring)
        if args.json and args.output is None:
            return found
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    return _written(args.output, text)


def _export_pdf(workspace: Workspace, actor: Actor, args: argparse.Namespace) -> str:
    try:
        from graphs.investigation.case_pdf import case_pdf
    except ModuleNotFoundError as error:
        raise NotFoundError(f"{error.name} is not installed; pip install 'ringtrace[serve]'") from error
    if args.output is None:
        raise ConfigError("--output: name a file for the PDF")
    exports.write(args.output, case_pdf(workspace, actor, args.ring))
    return f"{args.output}: written"


def _written(output: Path | None, text: str) -> str:
    if output is None:
        return Verbatim(text)
    exports.write(output, text)
    return f"{output}: written"


def _show_page(columns: Sequence[str]) -> Callable[[Any], str]:
    def show(page: Any) -> str:
        if isinstance(page, str):
            return page
        more = f"; more: --cursor {page.next}" if page.next else ""
        return f"{table(page.rows, columns)}\n{len(page.rows)} of {page.total:,}{more}"

    return show


def _show_rows(columns: Sequence[str]) -> Callable[[Any], str]:
    return lambda rows: table(rows, columns) if rows else "none"


def _show_sheet(sheet: Any) -> str:
    ring = sheet.ring
    head = (
        f"{ring.ring_id}  {ring.kind.replace('_', ' ')}, {ring.status}; rank {ring.rank}, {ring.users} users, "
        f"{ring.payments:,} payments, {ring.value_total:,.2f} of which {ring.value_fraud:,.2f} known fraud\n"
        f"{ring.headline}\n"
        f"case {ring.case_id}: {ring.case_status.replace('_', ' ')}, {ring.owner or 'nobody'} has it"
    )
    why = "\n".join(f"  {one.place + 1}. {one.text}" for one in sheet.evidence)
    who = table(sheet.members, ("entity", "part", "role", "verdict", "payments", "value", "lists", "other_rings"))
    numbers = f"p(ring) {ring.p_ring:.2f}, score {ring.score:,.2f}, preventable {ring.preventable_value:,.2f}"
    return f"{head}\n\nwhy\n{why or '  nothing was written down'}\n\nwho\n{who}\n\n{numbers}"


def _show_found(found: Any) -> str:
    if not found:
        return f"nothing is called {found.asked}"
    lines = [f"ring {ring.ring_id}: {ring.headline}" for ring in found.rings]
    lines += [f"case {case.case_id} on {case.ring_id}: {case.status}, {case.owner or 'nobody'}" for case in found.cases]
    lines += [f"payment {one.event_id} is in ring {ring_id}" for ring_id, one in found.payments]
    for one, briefs in found.entities:
        lines.append(f"{one.type} {one.text}: {'in no ring' if not briefs else ''}")
        lines += [
            f"  ring {brief.ring_id} ({brief.part}, {brief.role}); case {brief.case_id} {brief.case_status}, "
            f"{brief.owner or 'nobody'}"
            for brief in briefs
        ]
    return "\n".join(lines)


def _show_paths(found: Any) -> str:
    if not found.paths:
        return "no path" + ("" if found.complete else " found before the search was cut short")
    lines = []
    for path in found.paths:
        steps = [f"{path.entities[0].type} {path.entities[0].text}"]
        for joined, one in zip(path.joins, path.entities[1:], strict=True):
            kinds = ", ".join(joined.event_types)
            steps.append(f"  {joined.events} × {kinds} → {one.type} {one.text}")
        lines.append("\n".join(steps))
    return "\n\n".join(lines) + ("" if found.complete else "\n\nthe search was cut short; there may be more")


def _show_changes(found: Any) -> str:
    counts = ", ".join(f"{count} {word}" for word, count in found.counts.items()) or "nothing changed"
    rows = [
        {"ring": one.ring.ring_id, "change": one.change, "joined": one.joined, "left": one.left,
         "before": one.value_before, "now": one.value_now, "other": one.other_ring_id, "headline": one.ring.headline}
        for one in found.changes
    ]  # fmt: skip
    return f"since {found.since:%Y-%m-%d %H:%M}: {counts}" + (f"\n{table(rows, list(rows[0]))}" if rows else "")


def _show_case(sheet: Any) -> str:
    case = sheet.case
    text = f"{case.case_id} on {case.ring_id}: {case.status}, {case.owner or 'nobody'} has it (version {case.version})"
    if case.close_requested_by and case.status != "closed":
        text += f"\n{case.close_requested_by} asks to close it as {case.outcome}: {case.outcome_reason}"
    verdicts = [asdict(given) | {"entity": shown} for shown, given in sheet.verdicts]
    if verdicts:
        text += f"\n\n{table(verdicts, ('entity', 'verdict', 'latest', 'decided_by', 'decided_at', 'reason'))}"
    return text + "".join(
        f"\n\n{note.written_by}, {note.written_at:%Y-%m-%d %H:%M}: {note.text}" for note in sheet.notes
    )


def _show_plan(plan: Any) -> str:
    if isinstance(plan, str):
        return plan
    rows = table(plan.touched, ("entity", "persons", "innocents", "events", "value", "warnings"))
    return f"{rows}\n{plan.innocents:,} persons not judged fraud would be touched; --yes does it"


def _show_marked(found: Any) -> str:
    rows = [asdict(one.mark) | {"entity": one.entity} for one in found]
    return table(rows, ("list", "entity", "set_by", "set_at", "expires_at", "batch", "reason")) if rows else "none"


def _show_models(found: Any) -> str:
    runs = table(found.runs, ("as_of", "rings", "score_source", "model_version", "imported_by", "imported_at"))
    parts = [runs if found.runs else "no run was imported"]
    for board in found.boards:
        columns = ("title", "auc", "ap", "recall_at_budget", "precision_at_budget", "value_recall")
        parts.append(f"{board.task}: {board.verdict}\n{table(board.rows, columns)}")
    if found.hubs:
        parts.append(f"hubs, which tie nobody\n{table(found.hubs, ('entity', 'persons', 'cap'))}")
    return "\n\n".join(parts)


def _show_similar(found: Any) -> str:
    rows = [
        {"ring": one.ring.ring_id, "alike": one.similarity, "because": ", ".join(one.because),
         "outcome": one.ring.outcome or one.ring.case_status,
         "verdicts": ", ".join(f"{count} {word}" for word, count in one.verdicts.items())}
        for one in found
    ]  # fmt: skip
    return table(rows, list(rows[0])) if rows else "no other ring"


_RINGS = (
    "ring_id",
    "kind",
    "status",
    "users",
    "payments",
    "preventable_value",
    "p_ring",
    "case_status",
    "owner",
    "headline",
)
_NEAR = ("entity", "events", "value", "persons", "share", "first_time", "last_time", "rings")
_EVENTS = ("event_time", "event_type", "event_id", "amount", "label", "parties")

COMMANDS = {
    "import": Command(
        "take in what the finder found; doing it twice changes nothing",
        "import outputs/rings/2025-03-01",
        _arguments("runs"),
        lambda ws, actor, args: [import_run(ws.store, actor, Path(run)) for run in args.runs],
        _show_rows(("run_id", "already", "rings", "new_rings", "opened_cases")),
    ),
    "list": Command(
        "the rings to work on, best first",
        "list --free --kind mule_chain --min-value 1000",
        _queue_arguments,
        _list,
        _show_page(_RINGS),
    ),
    "show": Command(
        "one ring: why, who, how much",
        "show R-7F3K2Q",
        _arguments("ring"),
        lambda ws, actor, args: queries.ring_sheet(ws, actor, args.ring),
        _show_sheet,
    ),
    "lookup": Command(
        "what an id means: which ring, which case, who has it",
        "lookup d7dvw41cw",
        _arguments("text"),
        lambda ws, actor, args: queries.lookup(ws, actor, args.text),
        _show_found,
    ),
    "entity": Command(
        "what is known of one entity",
        "entity user:u90ss3vxc",
        _arguments("entity"),
        lambda ws, actor, args: queries.entity_sheet(ws, actor, *args.entity),
        cards,
    ),
    "neighbours": Command(
        "what an entity has events with, rarest first",
        "neighbours user:u90ss3vxc --type device --since 90d",
        _arguments("entity", "types", "since", "until", "limit", "cursor"),
        _neighbours,
        _show_page(_NEAR),
    ),
    "sharing": Command(
        "who shares a device, a card or any other identifier",
        "sharing device:d7dvw41cw",
        _arguments("entity", "since", "until", "limit", "cursor"),
        _sharing,
        _show_page(_NEAR),
    ),
    "path": Command(
        "how two entities hang together, over what few share",
        "path user:u90ss3vxc user:ugxpx5bek --paths 3",
        _arguments("entity", "target", "k", "hops", "hubs", "since", "until"),
        _path,
        _show_paths,
    ),
    "timeline": Command(
        "the events of an entity, or of a ring's members, newest first",
        "timeline R-7F3K2Q --since 30d",
        _arguments("subject", "since", "until", "limit", "cursor"),
        _timeline,
        _show_page(_EVENTS),
    ),
    "money": Command(
        "the payments inside a ring",
        "money R-7F3K2Q",
        _arguments("ring", "limit", "cursor"),
        lambda ws, actor, args: queries.ring_money(ws, actor, args.ring, limit=args.limit, cursor=args.cursor),
        _show_page(("event_time", "event_type", "event_id", "amount", "score")),
    ),
    "changes": Command(
        "rings born, grown, merged, split, gone since",
        "changes --since 2025-03-01",
        _arguments("since_when", "until"),
        lambda ws, actor, args: queries.changes(ws, actor, args.since, until=args.until),
        _show_changes,
    ),
    "similar": Command(
        "rings of the past like this one, and what became of them",
        "similar R-7F3K2Q",
        _arguments("ring", "limit"),
        lambda ws, actor, args: queries.similar_rings(ws, actor, args.ring, limit=args.limit),
        _show_similar,
    ),
    "near-fraud": Command(
        "who is nearest to confirmed fraud and not judged yet",
        "near-fraud --type device",
        _arguments("types", "since", "until", "limit"),
        lambda ws, actor, args: queries.near_fraud(
            ws, actor, types=args.types, since=args.since, until=args.until, limit=args.limit
        ),
        _show_rows(("entity", "nearness", "events", "rings")),
    ),
    "case": Command(
        "one case: verdicts, notes, who did what",
        "case C-12",
        _arguments("case"),
        lambda ws, actor, args: queries.case_sheet(ws, actor, args.case),
        _show_case,
    ),
    "narrative": Command(
        "the draft of a report: who, what, when, where, why, how",
        "narrative C-12",
        _arguments("case"),
        lambda ws, actor, args: queries.case_narrative(ws, actor, args.case),
        plain_text,
    ),
    "claim": Command(
        "take a case; if somebody has it you are told who",
        "claim R-7F3K2Q",
        _arguments("case", "version"),
        lambda ws, actor, args: cases.claim(ws.store, actor, args.case, version=args.version),
        cards,
    ),
    "release": Command(
        "give a case back",
        "release C-12",
        _arguments("case", "version"),
        lambda ws, actor, args: cases.release(ws.store, actor, args.case, version=args.version),
        cards,
    ),
    "assign": Command(
        "give a case to somebody (lead)",
        "assign C-12 ana",
        _arguments("case", "to", "version"),
        lambda ws, actor, args: cases.assign(ws.store, actor, args.case, args.to, version=args.version),
        cards,
    ),
    "status": Command(
        "say where the work stands",
        'status C-12 waiting --for "the bank of the receiver"',
        _arguments("case", "work", "waiting_for", "version"),
        lambda ws, actor, args: cases.set_status(
            ws.store, actor, args.case, args.work, waiting_for=args.waiting_for, version=args.version
        ),
        cards,
    ),
    "verdict": Command(
        "judge one member; it becomes a label",
        'verdict C-12 user:u90ss3vxc mule --reason "passes everything on within the hour"',
        _arguments("case", "entity", "verdict", "reason", "with_note", "version"),
        _verdict,
        cards,
    ),
    "note": Command(
        "write a note on a case",
        'note C-12 "called the card holder"',
        _arguments("case", "note"),
        lambda ws, actor, args: cases.add_note(ws.store, actor, args.case, args.note),
        cards,
    ),
    "close": Command(
        "ask to close a case; a second person approves or rejects",
        'close C-12 --outcome fraud --reason "see verdicts"',
        _arguments("case", "outcome", "why", "approve", "reject", "version"),
        _close,
        cards,
    ),
    "reopen": Command(
        "open a closed ring's case again, as a new one (lead)",
        'reopen C-12 --reason "new chargebacks"',
        _arguments("case", "reason"),
        lambda ws, actor, args: cases.reopen(ws.store, actor, args.case, reason=args.reason),
        cards,
    ),
    "watch": Command(
        "put an entity on the watch list, or take it off",
        'watch device:d7dvw41cw --reason "sold on?" --days 30',
        _arguments("entity", "reason", "expires", "remove"),
        _mark("watch"),
        cards,
    ),
    "benign": Command(
        "say that an entity is innocently shared, for a time",
        'benign device:d7dvw41cw --reason "a library" --days 180',
        _arguments("entity", "reason", "expires_benign", "remove"),
        _mark("benign"),
        cards,
    ),
    "block": Command(
        "whom blocking entities would touch; with --yes block them (lead)",
        'block card:c52t29e58 device:d7dvw41cw --yes --reason "C-12"',
        _arguments("entities", "why", "expires", "yes"),
        _block,
        _show_plan,
    ),
    "unblock": Command(
        "undo one block (lead)",
        'unblock B-1F2E3D4C --reason "wrong card"',
        _arguments("batch", "reason"),
        _unblock,
        str,
    ),
    "lists": Command(
        "who is watched, tagged benign or blocked",
        "lists block",
        _arguments("list"),
        lambda ws, actor, args: queries.marked(ws, actor, args.list),
        _show_marked,
    ),
    "unmask": Command(
        "the whole id of an entity, for a reason that is kept",
        'unmask card:~9rYx… --reason "to call the bank"',
        _arguments("entity", "reason"),
        lambda ws, actor, args: queries.unmask(ws, actor, *args.entity, reason=args.reason),
        str,
    ),
    "export": Command(
        "a ring as JSON with everything, one of its tables as CSV, or its case file as PDF",
        "export R-7F3K2Q --format csv --table payments -o payments.csv",
        _arguments("ring", "format", "table", "output"),
        _export,
        str,
    ),
    "models": Command(
        "what stands behind the rings: finder runs, the model's figures, the hub register",
        "models",
        _arguments(),
        lambda ws, actor, args: queries.models(ws, actor),
        _show_models,
    ),
    "labels": Command(
        "verdicts as labels for training, and hints for the finder (lead)",
        "labels outputs/labels --data configs/data/world.yaml",
        _arguments("folder", "data"),
        lambda ws, actor, args: feedback.export_labels(ws, actor, Path(args.folder), data=args.data),
        cards,
    ),
    "open": Command(
        "the rings with an open case, as `ringtrace find` wants them",
        "open",
        _arguments(),
        lambda ws, actor, args: queries.open_rings(ws, actor),
        lambda rings: f"open_rings=[{','.join(rings)}]",
    ),
    "audit": Command(
        "who did and saw what (lead)",
        "audit --subject ring:R-7F3K2Q",
        _arguments("of", "by", "limit", "cursor"),
        lambda ws, actor, args: queries.audit_trail(
            ws, actor, subject=args.subject, who=args.by, limit=args.limit, cursor=args.cursor
        ),
        _show_page(("at", "actor", "role", "channel", "action", "subject", "detail")),
    ),
    "person": Command(
        "add somebody, or change what they may do (admin)",
        "person ana investigator",
        _arguments("name", "role", "inactive"),
        lambda ws, actor, args: people.set_person(ws.store, actor, args.name, args.role, active=not args.inactive),
        cards,
    ),
    "people": Command(
        "who may act",
        "people",
        _arguments(),
        lambda ws, actor, args: people.all_people(ws.store),
        _show_rows(("name", "role", "active")),
    ),
    "key": Command(
        "API keys of a person: make one, list them, end one (admin)",
        "key add ana --days 90",
        _arguments("key_action", "whose", "expires"),
        _key,
        _show_keys,
    ),
    "settings": Command(
        "the settings that hold",
        "settings",
        _arguments(),
        lambda ws, actor, args: people.all_settings(ws.store),
        lambda found: "\n".join(f"{name} = {json.dumps(value)}" for name, value in found.items()),
    ),
    "set": Command(
        "change a setting (admin)",
        "set four_eyes false",
        _arguments("setting", "value"),
        lambda ws, actor, args: people.set_setting(ws.store, actor, args.setting, _json(args.value)),
        lambda _: "done",
    ),
}  # fmt: skip


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"value: expected JSON, as true or 5, got {text!r}") from error


# ------------------------------------------------------------------------------------------------------- parser


def _parser() -> argparse.ArgumentParser:
    examples = "\n".join(
        f"  {PROGRAM} {COMMANDS[name].example}" for name in ("list", "show", "lookup", "claim", "verdict")
    )
    codes = "exit codes: 0 done, 2 wrong words, 3 bad data, 4 not there, 5 somebody was first, 6 not allowed"
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Find out about rings, decide, and pass the verdict back.",
        epilog=f"examples:\n{examples}\n\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = os.environ.get(WORKSPACE_VARIABLE, DEFAULT_WORKSPACE)
    parser.add_argument("-w", "--workspace", default=where, help=f"its folder (default {where}; {WORKSPACE_VARIABLE})")
    parser.add_argument(
        "--as", dest="actor", default=os.environ.get(ACTOR_VARIABLE), metavar="NAME",
        help=f"act as this person (default: your login; {ACTOR_VARIABLE})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    # After the command, too, where people type it; there its absence must not undo what stood before.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON")
    words = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    init = words.add_parser("init", parents=[common], help="make a workspace: a case store, and the graph it speaks of")
    init.add_argument("folder", nargs="?", help="default: the workspace")
    init.add_argument("--graph", help="a folder of `ringtrace build` or `ingest`: its graph or log")
    init.add_argument("--model", help="a folder of `ringtrace train`: the run behind the scores, for its figures")
    init.add_argument("--store", help="postgresql+psycopg://… (default: SQLite in the folder)")
    init.add_argument("--person-type", default="user", help="the type of entity that acts (default user)")
    for name, command in COMMANDS.items():
        sub = words.add_parser(
            name, parents=[common], help=command.help, description=command.help[0].upper() + command.help[1:] + ".",
            epilog=f"example:\n  {PROGRAM} {command.example}", formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        command.arguments(sub)
    shell = words.add_parser("completion", parents=[common], help="a script that completes these words in your shell")
    shell.add_argument("shell", choices=SHELLS)
    return parser


def _words() -> dict[str, list[str]]:
    """Each command with its options, as completion offers them."""
    found: dict[str, list[str]] = {}
    for action in _parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                found[name] = sorted(_options(sub))
    return found


def _options(parser: argparse.ArgumentParser) -> Iterable[str]:
    for action in parser._actions:
        yield from (flag for flag in action.option_strings if flag.startswith("--"))
        if not action.option_strings and action.choices:
            yield from map(str, action.choices)


if __name__ == "__main__":
    sys.exit(main())
