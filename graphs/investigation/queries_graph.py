"""What investigators ask of the events: neighbours, who shares, paths, timelines, nearness to fraud, whom a block hits.

Windows are half-open in visible time (the later of event_time and known_time), so that `until=T` answers as anybody
could have at T. Without it, now is just after the last event.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select

from graphs.errors import ConfigError, NotFoundError
from graphs.events import MISSING, UNLABELLED
from graphs.investigation.answers import (
    BlockPlan,
    Join,
    NearFraud,
    Neighbour,
    Page,
    Path,
    Paths,
    TimelineEvent,
    Touched,
)
from graphs.investigation.masking import Entity, Masker
from graphs.investigation.rows import (
    briefs_of,
    check_limit,
    check_words,
    make_cursor,
    marks_on,
    read_cursor,
    resolve_ring,
)
from graphs.investigation.walks import MANY_PERSONS, NO_CAP, Sweep, Tally, Web, meet
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.models import instant, micros, ring_members, rings, verdicts

HUB_PERSONS = 20
"""An identifier of more persons than this is a hub: shown, but no path leads over it unless hubs are asked for."""

MOST_HOPS = 8
MOST_PATHS = 20
_EXPANSIONS = 2000
"""How many partial paths are looked at before the search for more says that it was cut short."""

GUILTY = ("fraud", "mule")


def neighbours(
    workspace: Workspace,
    actor: Actor,
    entity: tuple[str, str],
    *,
    types: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 25,
    cursor: str | None = None,
) -> Page[Neighbour]:
    """The entities in events with `entity` (type, id or handle), of some or all types, rarest first.

    An identifier is as rare as few persons use it; a person, as much of their own events are with the one asked
    about. A page is `limit` of `total`. Raises NotFoundError.
    """
    actor.must("view")
    check_limit(limit)
    check_words("types", types, workspace.graph.log.entity_types)
    node = _node(workspace, actor, entity)
    window = _window(workspace, since, until)
    found = _joined(workspace, node, window)
    keep = _of_types(workspace.web, found.nodes, types)
    persons = workspace.web.count_persons(found.nodes[keep], window, MANY_PERSONS)
    share = found.events[keep] / _degrees(workspace.web, found.nodes[keep], window)
    rarity = np.where(_are_persons(workspace.web, found.nodes[keep]), 1 / share, persons)
    order = np.lexsort((found.nodes[keep], -found.events[keep], rarity))
    start = 0 if cursor is None else max(0, int(read_cursor(cursor, "neighbours")[0]))
    shown = order[start : start + limit]
    rows = _neighbours(workspace, actor, found.take(keep[shown]), persons[shown], share[shown])
    more = make_cursor("neighbours", start + limit, "") if start + limit < len(order) else None
    workspace.store.saw(actor, "view", _subject(workspace, node), {"neighbours": len(rows)})
    return Page(rows, len(order), more)


def shared_by(
    workspace: Workspace,
    actor: Actor,
    entity: tuple[str, str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 25,
    cursor: str | None = None,
) -> Page[Neighbour]:
    """The persons who share a device, a card or any other identifier, those who use little else first."""
    persons = (workspace.person_type,)
    return neighbours(workspace, actor, entity, types=persons, since=since, until=until, limit=limit, cursor=cursor)


def paths(
    workspace: Workspace,
    actor: Actor,
    source: tuple[str, str],
    target: tuple[str, str],
    *,
    k: int = 3,
    max_hops: int = 6,
    hubs: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Paths:
    """The `k` shortest simple paths between two entities; a hop leads over shared events to another entity.

    Fewest hops first, and among these the least shared. No path passes an identifier of more than HUB_PERSONS persons
    unless `hubs`. A* with exact distances to the target, so that nearly every look is at a path to be shown.
    """
    actor.must("view")
    if not (1 <= k <= MOST_PATHS and 1 <= max_hops <= MOST_HOPS):
        raise ConfigError(f"k: 1 to {MOST_PATHS} paths, max_hops: 1 to {MOST_HOPS}; got {k} and {max_hops}")
    start, goal = _node(workspace, actor, source), _node(workspace, actor, target)
    if start == goal:
        raise ConfigError("paths: name two entities, these are one")
    window = _window(workspace, since, until)
    found, complete = _search(workspace, start, goal, window, k, max_hops, NO_CAP if hubs else HUB_PERSONS)
    masker = workspace.masker(actor)
    shown = tuple(
        Path(
            entities=tuple(_entity(workspace, masker, node) for node in nodes),
            joins=tuple(_join(workspace, *pair, window) for pair in itertools.pairwise(nodes)),
            cost=round(cost, 4),
        )
        for nodes, cost in found
    )
    workspace.store.saw(actor, "view", _subject(workspace, start), {"paths_to": _subject(workspace, goal)})
    return Paths(shown, complete)


def timeline(
    workspace: Workspace,
    actor: Actor,
    subject: str | tuple[str, str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[TimelineEvent]:
    """The events of an entity (type, id or handle), or of all members of a ring (by its id), newest first.

    `total` counts an event of two members twice.
    """
    actor.must("view")
    check_limit(limit)
    web = workspace.web
    nodes = _members(workspace, subject) if isinstance(subject, str) else [_node(workspace, actor, subject)]
    low, high = _window(workspace, since, until)
    total = int(_degrees(web, np.array(nodes, np.int64), (low, high)).sum()) if nodes else 0
    top = high if cursor is None else min(high, int(read_cursor(cursor, "timeline")[0]))
    newest: set[tuple[int, int]] = set()
    for node in nodes:
        span = slice(*_span(web, node, (low, top)))
        newest |= set(zip(web.ranks[span][-limit - 1 :].tolist(), web.events[span][-limit - 1 :].tolist(), strict=True))
    ordered = sorted(newest, reverse=True)
    page = [event for _, event in ordered[:limit]]
    known_by = _now(workspace) if until is None else micros(until)
    rows = tuple(_timeline_event(workspace, workspace.masker(actor), event, known_by) for event in page)
    more = make_cursor("timeline", ordered[limit - 1][0], "") if len(ordered) > limit else None
    seen = f"ring:{subject}" if isinstance(subject, str) else _subject(workspace, nodes[0])
    workspace.store.saw(actor, "view", seen, {"timeline": len(rows)})
    return Page(rows, total, more)


def near_fraud(
    workspace: Workspace,
    actor: Actor,
    *,
    types: Sequence[str] = (),
    seeds: Iterable[tuple[str, str]] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 25,
    restart: float = 0.15,
) -> tuple[NearFraud, ...]:
    """Entities nearest to fraud: personalised PageRank from `seeds`, or from all judged fraud or mule, per event of
    the entity, so that the busy do not win by being busy. Those already judged are left out. Empty without seeds."""
    actor.must("view")
    check_limit(limit)
    check_words("types", types, workspace.graph.log.entity_types)
    judged, guilty = _judged(workspace)
    masker, web = workspace.masker(actor), workspace.web
    chosen = [(kind, masker.open(key)) for kind, key in seeds] or sorted(guilty)
    codes = [(kind, workspace.code(kind, key)) for kind, key in chosen]
    starts = np.array([web.node(kind, code) for kind, code in codes if code is not None], np.int64)
    if not len(starts):
        return ()
    window = _window(workspace, since, until)
    rank = web.push(starts, window, restart=restart, epsilon=1e-6, hub_cap=HUB_PERSONS)
    reached = np.flatnonzero(rank)
    degrees = _degrees(web, reached, window)
    keep = _of_types(web, reached, types or (workspace.person_type,))
    keep = keep[degrees[keep] > 0]
    nearness = rank[reached[keep]] / degrees[keep]
    order = np.lexsort((reached[keep], -nearness))
    seeded, rows = set(starts.tolist()), []
    for place in order:
        node = int(reached[keep[place]])
        if node not in seeded and _key(workspace, node) not in judged:
            rows.append((node, float(nearness[place]), int(degrees[keep[place]])))
        if len(rows) == limit:
            break
    with workspace.store.read() as connection:
        briefs = briefs_of(connection, [_key(workspace, node) for node, _, _ in rows])
    workspace.store.saw(actor, "view", "near_fraud", {"seeds": len(starts), "rows": len(rows)})
    return tuple(
        NearFraud(_entity(workspace, masker, node), near, events, briefs.get(_key(workspace, node), ()))
        for node, near, events in rows
    )


def block_dry_run(
    workspace: Workspace, actor: Actor, entities: Iterable[tuple[str, str]], *, days: float = 90
) -> BlockPlan:
    """Whom blocking these entities would touch, by the events of the last `days`. Changes nothing."""
    actor.must("view")
    masker, web = workspace.masker(actor), workspace.web
    since = instant(_now(workspace)) - timedelta(days=days)
    window = _window(workspace, since, None)
    judged, guilty = _judged(workspace)
    touched, innocent = [], set()
    for entity in entities:
        node = _node(workspace, actor, entity)
        kind, key = _key(workspace, node)
        found = _joined(workspace, node, window)
        persons = found.nodes[_are_persons(web, found.nodes)].tolist()
        if _are_persons(web, np.array([node]))[0]:
            persons = [node]
        others = [one for one in persons if _key(workspace, one) not in guilty]
        innocent |= set(others)
        span = np.unique(web.events[slice(*_span(web, node, window))])
        touched.append(
            Touched(
                entity=masker.entity(kind, key),
                persons=len(persons),
                innocents=len(others),
                shown=tuple(_entity(workspace, masker, one) for one in others[:25]),
                events=len(span),
                value=float(np.nansum(workspace.graph.log.amount[span])),
                warnings=_warnings(workspace, (kind, key), judged, len(persons)),
            )
        )
    workspace.store.saw(actor, "view", "block_dry_run", {"entities": len(touched), "innocents": len(innocent)})
    return BlockPlan(since, tuple(touched), len(innocent))


def _warnings(
    workspace: Workspace, key: tuple[str, str], judged: dict[tuple[str, str], str], persons: int
) -> tuple[str, ...]:
    found = []
    if judged.get(key) in ("victim", "legitimate"):
        found.append(f"was judged {judged[key]}")
    if persons > HUB_PERSONS:
        found.append(f"is a hub: {persons:,} persons use it")
    with workspace.store.read() as connection:
        if any(mark.list == "benign" for mark in marks_on(connection, [key])):
            found.append("is tagged benign")
    return tuple(found)


# --------------------------------------------------------------------------------------- nodes, windows, keys


def _node(workspace: Workspace, actor: Actor, entity: tuple[str, str]) -> int:
    kind, key = entity
    check_words("type", (kind,), workspace.graph.log.entity_types)
    code = workspace.code(kind, workspace.masker(actor).open(key))
    if code is None:
        raise NotFoundError(f"no {kind} has the id given")
    return workspace.web.node(kind, code)


def _key(workspace: Workspace, node: int) -> tuple[str, str]:
    kind, code = workspace.web.entity(node)
    return kind, workspace.graph.log.entity_ids[kind][code].as_py()


def _entity(workspace: Workspace, masker: Masker, node: int) -> Entity:
    return masker.entity(*_key(workspace, node))


def _subject(workspace: Workspace, node: int) -> str:
    return ":".join(_key(workspace, node))


def _now(workspace: Workspace) -> int:
    times = workspace.graph.visible_times
    return int(times[-1]) + 1 if len(times) else 0


def _window(workspace: Workspace, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Ranks [low, high) of the events visible in [since, until)."""
    times = workspace.graph.visible_times
    low = 0 if since is None else int(np.searchsorted(times, micros(since), side="left"))
    high = len(times) if until is None else int(np.searchsorted(times, micros(until), side="left"))
    return low, high


def _span(web: Web, node: int, window: tuple[int, int]) -> tuple[int, int]:
    """Slots of the node's incidences within the window."""
    first, last = int(web.offsets[node]), int(web.offsets[node + 1])
    low, high = np.searchsorted(web.ranks[first:last], window, side="left")
    return first + int(low), first + int(high)


def _degrees(web: Web, nodes: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """How many incidences each node has in the window, (n,) int64."""
    if window == (0, len(web.entities)):
        return web.offsets[nodes + 1] - web.offsets[nodes]
    spans = [_span(web, int(node), window) for node in nodes]
    return np.array([last - first for first, last in spans], np.int64)


def _are_persons(web: Web, nodes: np.ndarray) -> np.ndarray:
    return (nodes >= web.persons[0]) & (nodes < web.persons[1])


def _of_types(web: Web, nodes: np.ndarray, types: Sequence[str]) -> np.ndarray:
    """Places of the nodes whose type is one of `types` (none: any)."""
    if not types:
        return np.arange(len(nodes))
    kinds = list(web.bases)
    of = np.searchsorted(np.array(list(web.bases.values())), nodes, side="right") - 1
    # An entity type without entities shares its base with the next, which comes last and so is found.
    return np.flatnonzero(np.isin(of, [kinds.index(kind) for kind in types]))


def _members(workspace: Workspace, ring_id: str) -> list[int]:
    """Nodes of the members, not the identifiers, of a ring as it stands."""
    with workspace.store.read() as connection:
        name = resolve_ring(connection, ring_id)
        wanted = (
            select(ring_members.c.entity_type, ring_members.c.entity_id)
            .join(rings, (rings.c.ring_id == ring_members.c.ring_id) & (rings.c.run_id == ring_members.c.run_id))
            .where(rings.c.ring_id == name, ring_members.c.part == "member")
        )
        keys: dict[str, list[str]] = {}
        for kind, key in connection.execute(wanted):
            keys.setdefault(kind, []).append(key)
    found = []
    for kind, ids in keys.items():
        known = workspace.graph.log.entity_ids.get(kind)
        if known is not None:
            codes = pc.index_in(pa.array(ids, known.type), value_set=known).drop_null().to_pylist()
            found += [workspace.web.node(kind, code) for code in codes]
    return found


def _judged(workspace: Workspace) -> tuple[dict[tuple[str, str], str], set[tuple[str, str]]]:
    """The newest verdict on each entity, and those judged fraud or mule."""
    wanted = select(verdicts.c.entity_type, verdicts.c.entity_id, verdicts.c.verdict).where(verdicts.c.latest)
    with workspace.store.read() as connection:
        found = connection.execute(wanted.order_by(verdicts.c.verdict_id)).all()
    newest = {(kind, key): verdict for kind, key, verdict in found}
    return newest, {key for key, verdict in newest.items() if verdict in GUILTY}


# ------------------------------------------------------------------------------------------- what joins nodes


def _joined(workspace: Workspace, node: int, window: tuple[int, int]) -> Tally:
    log = workspace.graph.log
    return workspace.web.tally(node, window, log.amount, log.event_time, log.event_type)


def _type_names(workspace: Workspace, kinds: int) -> tuple[str, ...]:
    return tuple(name for place, name in enumerate(workspace.graph.log.event_types) if kinds >> min(place, 62) & 1)


def _neighbours(
    workspace: Workspace, actor: Actor, found: Tally, persons: np.ndarray, share: np.ndarray
) -> tuple[Neighbour, ...]:
    masker = workspace.masker(actor)
    keys = [_key(workspace, int(node)) for node in found.nodes]
    with workspace.store.read() as connection:
        briefs = briefs_of(connection, keys)
        marked = marks_on(connection, keys)
    return tuple(
        Neighbour(
            entity=masker.entity(*key),
            events=int(found.events[place]),
            value=float(found.value[place]),
            first_time=instant(int(found.first[place])),
            last_time=instant(int(found.last[place])),
            event_types=_type_names(workspace, int(found.kinds[place])),
            persons=int(persons[place]),
            share=min(1.0, float(share[place])),
            rings=briefs.get(key, ()),
            lists=tuple(mark.list for mark in marked if (mark.entity_type, mark.entity_id) == key),
        )
        for place, key in enumerate(keys)
    )


def _join(workspace: Workspace, left: int, right: int, window: tuple[int, int]) -> Join:
    """Looked at from the side with fewer events."""
    web = workspace.web
    spans = sorted((_span(web, node, window) for node in (left, right)), key=lambda span: span[1] - span[0])
    quiet = left if spans[0] == _span(web, left, window) else right
    other = right if quiet == left else left
    found = _joined(workspace, quiet, window)
    place = int(np.searchsorted(found.nodes, other))
    return Join(
        events=int(found.events[place]),
        value=float(found.value[place]),
        first_time=instant(int(found.first[place])),
        last_time=instant(int(found.last[place])),
        event_types=_type_names(workspace, int(found.kinds[place])),
    )


def _search(
    workspace: Workspace, start: int, goal: int, window: tuple[int, int], k: int, max_hops: int, hub_cap: int
) -> tuple[list[tuple[tuple[int, ...], float]], bool]:
    """The k best simple paths as (nodes, cost) in order of (hops, cost), and whether the search came to its end.

    Two sweeps meet, which says how far the ends are apart; then that from the goal goes on to the start, over nodes
    only that a path of the length in question could use: of the fewest hops, of one more, of as many as may be.
    """
    ahead, back = (workspace.web.sweep(node, window, hub_cap) for node in (start, goal))
    apart = meet(ahead, back, max_hops)
    if apart is None:
        return [], True
    for length in sorted({apart, min(apart + 1, max_hops), max_hops}):
        while ahead.depth < length // 2:
            ahead.grow()
        while back.depth < max(apart, length - 1):
            back.grow(ahead if length - back.depth - 1 <= ahead.depth else None, length=length)
        found = _best_paths(workspace, start, back, k, length)
        if len(found[0]) == k:
            break
        back = workspace.web.sweep(goal, window, hub_cap)
    return found


def _best_paths(
    workspace: Workspace, start: int, back: Sweep, k: int, max_hops: int
) -> tuple[list[tuple[tuple[int, ...], float]], bool]:
    """A* over simple paths of at most `max_hops` to the origin of `back`, guided by what that sweep found."""
    goal, hops, cost, weight = back.origin, back.hops, back.cost, back.weight
    heap: list[tuple[int, float, float, tuple[int, ...]]] = [(int(hops[start]), float(cost[start]), 0.0, (start,))]
    around: dict[int, np.ndarray] = {}
    found: list[tuple[tuple[int, ...], float]] = []
    for _ in range(_EXPANSIONS):
        if not heap or len(found) == k:
            return found, True
        _, _, spent, nodes = heapq.heappop(heap)
        if nodes[-1] == goal:
            found.append((nodes, spent))
            continue
        if nodes[-1] not in around:
            around[nodes[-1]] = _within(workspace, nodes[-1], back.window, hops)
        near = around[nodes[-1]]
        near = near[hops[near] <= max_hops - len(nodes)]
        unknown = near[np.isnan(weight[near])]
        weight[unknown] = workspace.web.weigh(unknown, back.window, back.hub_cap)
        near = near[(near == goal) | (weight[near] < math.inf)]
        for node in near.tolist():
            if node not in nodes:
                passed = spent + (0.0 if node == goal else float(weight[node]))
                heapq.heappush(
                    heap, (len(nodes) + int(hops[node]), round(passed + float(cost[node]), 4), passed, (*nodes, node))
                )
    return found, False


def _within(workspace: Workspace, node: int, window: tuple[int, int], hops: np.ndarray) -> np.ndarray:
    """The nodes in events with `node` that a sweep has reached, each once."""
    web = workspace.web
    rows = web.entities[web.events[slice(*_span(web, node, window))]]
    flat = (rows + web.role_base)[rows != MISSING]
    return np.unique(flat[(hops[flat] >= 0) & (flat != node)])


def _timeline_event(workspace: Workspace, masker: Masker, event: int, known_by: int) -> TimelineEvent:
    log = workspace.graph.log
    label = int(log.label[event])
    known = label != UNLABELLED and log.label_known_time[event] <= known_by
    details: dict[str, Any] = {}
    for name, column in log.categorical.items():
        if column.codes[event] != MISSING:
            details[name] = masker.prose(column.values[int(column.codes[event])].as_py())
    for name, numbers in log.numeric.items():
        if not math.isnan(numbers[event]):
            details[name] = float(numbers[event])
    amount = float(log.amount[event])
    return TimelineEvent(
        event_type=log.event_types[int(log.event_type[event])],
        event_id=log.event_ids[event].as_py(),
        event_time=instant(int(log.event_time[event])),
        known_time=instant(int(log.known_time[event])),
        amount=None if math.isnan(amount) else amount,
        label=(("clean", "fraud")[label] if known else None),
        parties=tuple(
            (role.name, masker.entity(role.entity_type, log.entity_ids[role.entity_type][int(code)].as_py()))
            for role, code in zip(log.roles, log.entities[event], strict=True)
            if code != MISSING
        ),
        details=details,
    )
