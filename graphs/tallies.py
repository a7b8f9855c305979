"""The kernels under `behaviour`: one pass along each entity's timeline that answers all questions asked of it.

Questions (entity, time) come grouped by entity and ascending in time, so pointers only move forward and the cost
is linear in incidences plus questions. Everything is a function of the past alone: counts are integers, sums are
differences of running totals that start at the entity's first event. So the same question gets the same bits
whoever else asks what, in batch or alone. What rounding takes from a total of amounts is kept beside it, so that one
huge amount does not swallow the small ones after it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LIFETIME = np.int64(1 << 62)
"""Length in µs of the window that reaches back to the first event."""

NO_TIME = np.int64(-(1 << 62))
"""Before every time in µs."""

USUAL = 100
"""How many of an entity's last amounts say what is usual for it."""

PER_WINDOW = 3  # count, sum, mean; then two per role, then one per kind of counterparty
PER_LIFE = 4  # max, std, seconds since last, age; then one per event type
PER_EVENT = 4  # amount to mean, z-score, to max, same as last


@njit(cache=True, nogil=True)
def tally_entities(
    offsets: np.ndarray,
    events: np.ndarray,
    roles: np.ndarray,
    times: np.ndarray,
    query_offsets: np.ndarray,
    query_rows: np.ndarray,
    query_roles: np.ndarray,
    query_times: np.ndarray,
    query_amount: np.ndarray,
    entities: np.ndarray,
    amount: np.ndarray,
    event_type: np.ndarray,
    role_place: np.ndarray,
    type_count: int,
    partners: np.ndarray,
    partner_count: int,
    own_partner: int,
    windows: np.ndarray,
    keep: np.ndarray,
    base: np.ndarray,
    out: np.ndarray,
) -> None:
    """Answer the questions of one entity type into out[query_rows, base[query_roles]:] float32, columns `keep`.

    The timeline (`offsets` … `times`) and the questions (`query_offsets` … `query_times`) are CSR by entity.
    `role_place` (roles,) numbers the roles of this type where it has several, else all MISSING; `type_count` is 0
    for a single event type; `partners` (targets, ≤ roles) are the columns of `entities` that hold each kind of
    counterparty (MISSING pads), of which `partner_count` is the largest number of entities and `own_partner` the
    place of this type itself (or MISSING); `windows` µs, the last one LIFETIME.
    """
    own_roles = role_place.max() + 1
    channels = 3 + 2 * own_roles + type_count
    targets, spread = partners.shape
    width = PER_WINDOW + 2 * own_roles + targets
    longest = np.int64(0)
    for entity in range(len(offsets) - 1):
        longest = max(longest, offsets[entity + 1] - offsets[entity])
    total = np.empty((longest + 1, channels), np.float64)
    lost = np.empty((longest + 1, 1 + own_roles), np.float64)
    link_start = np.empty((targets, longest + 1), np.int64)
    previous = np.empty((targets, longest * spread), np.int64)
    following = np.empty((targets, longest * spread), np.int64)
    seen = np.full((targets, partner_count), -1, np.int64)
    clock = np.zeros(targets, np.int64)
    tails = np.empty(len(windows), np.int64)
    inside = np.empty((len(windows), targets), np.int64)
    row = np.empty(width * len(windows) + PER_LIFE + type_count + PER_EVENT, np.float64)

    for entity in range(len(offsets) - 1):
        if query_offsets[entity] == query_offsets[entity + 1]:
            continue
        start = offsets[entity]
        size = offsets[entity + 1] - start
        _run_totals(total, lost, start, size, events, roles, amount, event_type, role_place, own_roles, type_count)
        for target in range(targets):
            barred = entity if target == own_partner else -1
            clock[target] = _link_partners(
                start, size, events, entities, partners[target], barred, clock[target],
                seen[target], link_start[target], previous[target], following[target],
            )  # fmt: skip
        head = np.int64(0)
        tails[:] = 0
        inside[:] = 0
        mean, squares, largest, last_amount = 0.0, 0.0, np.nan, np.nan

        for query in range(query_offsets[entity], query_offsets[entity + 1]):
            now = query_times[query]
            while head < size and times[start + head] < now:
                if total[head + 1, 1] > total[head, 1]:
                    last_amount = amount[events[start + head]]
                    step = last_amount - mean
                    mean += step / total[head + 1, 1]
                    squares += step * (last_amount - mean)
                    if not largest >= last_amount:
                        largest = last_amount
                for target in range(targets):
                    for link in range(link_start[target, head], link_start[target, head + 1]):
                        for window in range(len(windows)):
                            if previous[target, link] < link_start[target, tails[window]]:
                                inside[window, target] += 1
                head += 1
            for window in range(len(windows)):
                tail = tails[window]
                oldest = now - windows[window]
                while tail < head and times[start + tail] < oldest:
                    for target in range(targets):
                        for link in range(link_start[target, tail], link_start[target, tail + 1]):
                            if following[target, link] >= link_start[target, head]:
                                inside[window, target] -= 1
                    tail += 1
                tails[window] = tail
                place = window * width
                with_amount = total[head, 1] - total[tail, 1]
                row[place] = total[head, 0] - total[tail, 0]
                row[place + 1] = (total[head, 2] - total[tail, 2]) + (lost[head, 0] - lost[tail, 0])
                row[place + 2] = row[place + 1] / with_amount if with_amount > 0 else np.nan
                place += PER_WINDOW
                for own in range(own_roles):
                    row[place] = total[head, 3 + 2 * own] - total[tail, 3 + 2 * own]
                    kept = total[head, 4 + 2 * own] - total[tail, 4 + 2 * own]
                    row[place + 1] = kept + (lost[head, 1 + own] - lost[tail, 1 + own])
                    place += 2
                for target in range(targets):
                    row[place + target] = inside[window, target]
            place = width * len(windows)
            count = total[head, 1]
            spread_of_amount = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
            row[place] = largest
            row[place + 1] = spread_of_amount
            row[place + 2] = (now - times[start + head - 1]) / 1e6 if head > 0 else np.nan
            row[place + 3] = (now - times[start]) / 1e6 if head > 0 else np.nan
            place += PER_LIFE
            for kind in range(type_count):
                row[place + kind] = total[head, 3 + 2 * own_roles + kind]
            place += type_count
            paid = query_amount[query_rows[query]]
            # By the total, which is exactly 0 where refunds have taken all back.
            usual = row[width * (len(windows) - 1) + 2]
            row[place] = paid / usual if usual != 0 else np.nan
            row[place + 1] = (paid - mean) / spread_of_amount if spread_of_amount > 0 else np.nan
            row[place + 2] = paid / largest if largest != 0 else np.nan
            both = not (np.isnan(paid) or np.isnan(last_amount))
            row[place + 3] = (1.0 if paid == last_amount else 0.0) if both else np.nan
            at = base[query_roles[query]]
            for place in range(len(keep)):
                out[query_rows[query], at + place] = row[keep[place]]


@njit(cache=True, nogil=True)
def _run_totals(
    total: np.ndarray,
    lost: np.ndarray,
    start: int,
    size: int,
    events: np.ndarray,
    roles: np.ndarray,
    amount: np.ndarray,
    event_type: np.ndarray,
    role_place: np.ndarray,
    own_roles: int,
    type_count: int,
) -> None:
    """Running totals along one timeline: events, those with an amount, amount; the last two per role; per type.

    `lost` is what rounding took from the totals of amounts: all together, then per role.
    """
    total[0], lost[0] = 0.0, 0.0
    for step in range(size):
        total[step + 1], lost[step + 1] = total[step], lost[step]
        event = events[start + step]
        paid = amount[event]
        # An event with the entity in two roles stands twice in a row, and counts once.
        if step == 0 or events[start + step - 1] != event:
            total[step + 1, 0] += 1
            if not np.isnan(paid):
                total[step + 1, 1] += 1
                lost[step + 1, 0] += _rounded_off(total[step, 2], paid)
                total[step + 1, 2] += paid
            if type_count:
                total[step + 1, 3 + 2 * own_roles + event_type[event]] += 1
        if own_roles:
            own = role_place[roles[start + step]]
            total[step + 1, 3 + 2 * own] += 1
            if not np.isnan(paid):
                lost[step + 1, 1 + own] += _rounded_off(total[step, 4 + 2 * own], paid)
                total[step + 1, 4 + 2 * own] += paid


@njit(cache=True, nogil=True)
def _rounded_off(total: float, paid: float) -> float:
    """What total + paid loses by rounding, exactly (Neumaier 1974)."""
    grown = total + paid
    return (total - grown) + paid if abs(total) >= abs(paid) else (paid - grown) + total


@njit(cache=True, nogil=True)
def _link_partners(
    start: int,
    size: int,
    events: np.ndarray,
    entities: np.ndarray,
    columns: np.ndarray,
    barred: int,
    clock: int,
    seen: np.ndarray,
    link_start: np.ndarray,
    previous: np.ndarray,
    following: np.ndarray,
) -> int:
    """Chain the counterparties of one timeline: where each was met before and is met again; returns the new clock.

    `seen` holds for each counterparty the clock of its last link. The clock runs on from entity to entity, so
    what another entity left there is older than this one's first link and need not be wiped.
    """
    link = 0
    for step in range(size):
        link_start[step] = link
        event = events[start + step]
        if step > 0 and events[start + step - 1] == event:
            continue
        for column in columns:
            if column < 0:
                break
            partner = entities[event, column]
            if partner < 0 or partner == barred:
                continue
            before = seen[partner] - clock
            previous[link] = max(before, -1)
            following[link] = np.iinfo(np.int64).max
            if before >= 0:
                following[before] = link
            seen[partner] = clock + link
            link += 1
    link_start[size] = link
    return clock + link


@njit(cache=True, nogil=True)
def tally_labels(
    offsets: np.ndarray,
    times: np.ndarray,
    positive: np.ndarray,
    query_offsets: np.ndarray,
    query_rows: np.ndarray,
    query_roles: np.ndarray,
    query_times: np.ndarray,
    prior: np.ndarray,
    windows: np.ndarray,
    prior_weight: float,
    base: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write per window how much fraud matured in it and the shrunk share of it among all labels that did.

    `times` are those at which labels may first be used, ascending per entity; a window is (now - length, now].
    `prior` (rows,) is the share over all entities as of the row's time.
    """
    first = np.empty(len(windows), np.int64)
    frauds = np.empty(len(windows), np.int64)
    for entity in range(len(offsets) - 1):
        head = offsets[entity]
        first[:] = head
        frauds[:] = 0
        for query in range(query_offsets[entity], query_offsets[entity + 1]):
            now = query_times[query]
            row = query_rows[query]
            place = base[query_roles[query]]
            while head < offsets[entity + 1] and times[head] <= now:
                for window in range(len(windows)):
                    frauds[window] += positive[head]
                head += 1
            for window in range(len(windows)):
                while first[window] < head and times[first[window]] <= now - windows[window]:
                    frauds[window] -= positive[first[window]]
                    first[window] += 1
                count = head - first[window]
                out[row, place] = frauds[window]
                if count + prior_weight > 0:
                    expected = prior[row] * prior_weight
                    out[row, place + 1] = (frauds[window] + expected) / (count + prior_weight)
                place += 2


@njit(cache=True, nogil=True)
def tally_streaks(
    offsets: np.ndarray,
    times: np.ndarray,
    positive: np.ndarray,
    visible: np.ndarray,
    query_offsets: np.ndarray,
    query_rows: np.ndarray,
    query_roles: np.ndarray,
    query_times: np.ndarray,
    base: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write how many of the last known labels are fraud in a row, the seconds since the first of these events, and
    those since the newest event known to be innocent.

    `visible` (labels,) µs is when the labels' events were; a time since what there is not stays NaN.
    """
    for entity in range(len(offsets) - 1):
        head, streak, since, innocent = offsets[entity], 0, np.int64(0), NO_TIME
        for query in range(query_offsets[entity], query_offsets[entity + 1]):
            now = query_times[query]
            while head < offsets[entity + 1] and times[head] <= now:
                if positive[head]:
                    since = visible[head] if streak == 0 else min(since, visible[head])
                    streak += 1
                else:
                    streak = 0
                    innocent = max(innocent, visible[head])
                head += 1
            row, place = query_rows[query], base[query_roles[query]]
            out[row, place] = streak
            if streak > 0:
                out[row, place + 1] = (now - since) / 1e6
            if innocent != NO_TIME:
                out[row, place + 2] = (now - innocent) / 1e6


@njit(cache=True, nogil=True)
def tally_usual(
    offsets: np.ndarray,
    events: np.ndarray,
    times: np.ndarray,
    query_offsets: np.ndarray,
    query_rows: np.ndarray,
    query_roles: np.ndarray,
    query_times: np.ndarray,
    query_amount: np.ndarray,
    amount: np.ndarray,
    windows: np.ndarray,
    of_events: bool,
    base: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write for each event its amount over the median of the entity's last USUAL amounts and its distance in median
    deviations; then, for events and moments alike, the largest of these amounts in each of `windows`, which ascend,
    over the median."""
    recent, when = np.empty(USUAL), np.empty(USUAL, np.int64)
    for entity in range(len(offsets) - 1):
        head, n, last = offsets[entity], 0, np.int64(-1)
        for query in range(query_offsets[entity], query_offsets[entity + 1]):
            now = query_times[query]
            while head < offsets[entity + 1] and times[head] < now:
                event = events[head]
                # An event with the entity in two roles stands twice in a row, and counts once.
                if event != last and amount[event] == amount[event]:
                    recent[n % USUAL] = amount[event]
                    when[n % USUAL] = times[head]
                    n += 1
                last = event
                head += 1
            row, place = query_rows[query], base[query_roles[query]]
            size, paid = min(n, USUAL), query_amount[row]
            if size == 0:
                continue
            median = np.median(recent[:size])
            if of_events and paid == paid:
                deviation = np.median(np.abs(recent[:size] - median))
                if median != 0:
                    out[row, place] = paid / median
                if deviation > 0:
                    out[row, place + 1] = (paid - median) / deviation
            if median == 0:
                continue
            # From the newest back: a longer window begins where the shorter ended.
            back, largest, first = 0, -np.inf, place + 2 if of_events else place
            for window in range(len(windows)):
                while back < size and when[(n - 1 - back) % USUAL] >= now - windows[window]:
                    largest = max(largest, recent[(n - 1 - back) % USUAL])
                    back += 1
                if back > 0:
                    out[row, first + window] = largest / median


@njit(cache=True, nogil=True)
def tally_pairs(
    offsets: np.ndarray,
    events: np.ndarray,
    times: np.ndarray,
    query_offsets: np.ndarray,
    query_rows: np.ndarray,
    query_times: np.ndarray,
    amount: np.ndarray,
    base: int,
    out: np.ndarray,
) -> None:
    """Write per event how often its pair met before, seconds since the last time, and if the amount is the same."""
    for pair in range(len(offsets) - 1):
        start = head = offsets[pair]
        for query in range(query_offsets[pair], query_offsets[pair + 1]):
            row = query_rows[query]
            while head < offsets[pair + 1] and times[head] < query_times[query]:
                head += 1
            out[row, base] = head - start
            if head > start:
                paid, before = amount[row], amount[events[head - 1]]
                out[row, base + 1] = (query_times[query] - times[head - 1]) / 1e6
                if not (np.isnan(paid) or np.isnan(before)):
                    out[row, base + 2] = 1.0 if paid == before else 0.0
