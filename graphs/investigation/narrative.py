"""The draft of a report on a case: who, what, when, where, why, how, what speaks against it, what was decided.

Facts of the case store only, each in a sentence with its figures, in the words the evidence was given in: nothing is
inferred, scores are left out, and what would clear somebody stands in it like what would not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphs.investigation.answers import CaseSheet, Member, Narrative, NarrativePart, RingSheet
from graphs.investigation.moments import long_clock, long_day
from graphs.investigation.queries_cases import case_sheet
from graphs.investigation.queries_rings import ring_sheet
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor

_MOST_NAMED = 12
_ROLES = ("organiser", "mule", "member", "insider", "victim")


def case_narrative(workspace: Workspace, actor: Actor, name: str) -> Narrative:
    """The draft on a case, or on the newest one of a ring, from what is known now. Raises NotFoundError."""
    case = case_sheet(workspace, actor, name)
    return narrate(case, ring_sheet(workspace, actor, case.ring.ring_id), workspace.person_type)


def narrate(case: CaseSheet, sheet: RingSheet, person_type: str) -> Narrative:
    """The draft from a case and its ring's sheet, masked as these are."""
    questions = {
        "Who": _who(sheet, person_type),
        "What": _what(sheet),
        "When": _when(sheet),
        "Where": _where(sheet, person_type),
        "Why they are taken together": _told(sheet, "shared_identifier", "known_fraud"),
        "How": _told(sheet, "money_flow", "burst"),
        "What speaks against it": _against(case, sheet),
        "What was decided": _decided(case),
    }
    parts = tuple(
        NarrativePart(question, tuple(facts) or ("Nothing is known.",)) for question, facts in questions.items()
    )
    return Narrative(case.case.case_id, sheet.ring.ring_id, sheet.ring.as_of, parts)


def plain_text(narrative: Narrative) -> str:
    """The draft as text to paste into a report."""
    lines = [f"Case {narrative.case_id} on ring {narrative.ring_id}, as of {long_clock(narrative.as_of)}"]
    for part in narrative.parts:
        lines += ["", part.question, *(f"- {fact}" for fact in part.facts)]
    return "\n".join(lines) + "\n"


def _who(sheet: RingSheet, person_type: str) -> Iterator[str]:
    persons = [one for one in sheet.members if one.entity.type == person_type]
    suspected = [one for one in persons if one.part == "member"]
    yield f"{plural(len(suspected), person_type)} act together in ring {sheet.ring.ring_id} by the finder's account."
    for role in _ROLES:
        having = [one for one in persons if one.role == role and (one.part == "member" or role == "victim")]
        if having:
            words = {"member": "no particular role is known of", "victim": "likely victims, not counted in"}
            lead = words.get(role, f"taken for {role}{'s' if len(having) > 1 else ''}")
            yield f"{lead[0].upper()}{lead[1:]}: {_named(having)}."


def _what(sheet: RingSheet) -> Iterator[str]:
    ring = sheet.ring
    yield f"{plural(ring.payments, 'payment')} over {ring.value_total:,.2f} in all belong to the ring."
    if not any(one.kind == "known_fraud" for one in sheet.evidence):
        yield "None of them is confirmed fraud so far."
    yield f"The pattern resembles the kind “{ring.kind.replace('_', ' ')}”; the kind is a guess from behaviour."


def _when(sheet: RingSheet) -> Iterator[str]:
    ring = sheet.ring
    if ring.first_event_time is not None and ring.last_event_time is not None:
        yield (
            f"The first event of the ring was on {long_clock(ring.first_event_time)}, the last on "
            f"{long_clock(ring.last_event_time)}."
        )
    if sheet.days:
        busiest = max(sheet.days, key=lambda day: (day.value, day.day))
        yield (
            f"Money moved on {plural(len(sheet.days), 'day')}; most, {busiest.value:,.2f} in "
            f"{plural(busiest.payments, 'payment')}, on {long_day(busiest.day)}."
        )
    yield from _told(sheet, "timing")
    if ring.first_seen is not None:
        yield f"The finder first named the ring as of {long_day(ring.first_seen)}."


def _where(sheet: RingSheet, person_type: str) -> Iterator[str]:
    things = [one for one in sheet.members if one.entity.type != person_type]
    for kind in dict.fromkeys(one.entity.type for one in things):
        tying = [one for one in things if one.entity.type == kind and one.part == "identifier"]
        common = [one for one in things if one.entity.type == kind and one.part == "peripheral"]
        if tying:
            yield f"{plural(len(tying), kind)} used by members: {_named(tying)}."
        if common:
            yield f"{plural(len(common), kind)} used by members, but by too many others to mean much: {_named(common)}."


def _told(sheet: RingSheet, *kinds: str) -> Iterator[str]:
    for one in sheet.evidence:
        if one.kind in kinds:
            yield _sentence(one.text)


def _against(case: CaseSheet, sheet: RingSheet) -> Iterator[str]:
    yield from _told(sheet, "exculpatory")
    for entity, given in case.verdicts:
        if given.latest and given.verdict in ("legitimate", "victim"):
            yield f"{entity.type} {entity.text} was judged {given.verdict}: {_sentence(given.reason)}"


def _decided(case: CaseSheet) -> Iterator[str]:
    for entity, given in case.verdicts:
        if given.latest and given.verdict not in ("legitimate", "victim"):
            yield (
                f"{given.decided_by} judged {entity.type} {entity.text} {given.verdict} on "
                f"{long_day(given.decided_at)}: {_sentence(given.reason)}"
            )
    held = case.case
    if held.status == "closed":
        assert held.outcome is not None and held.closed_at is not None
        yield (
            f"{held.closed_by} closed the case on {long_day(held.closed_at)} as {held.outcome.replace('_', ' ')}: "
            f"{_sentence(held.outcome_reason or '')}"
        )
    elif held.close_requested_by is not None and held.outcome is not None:
        yield (
            f"{held.close_requested_by} asks to close it as {held.outcome.replace('_', ' ')}: "
            f"{_sentence(held.outcome_reason or '')}"
        )
    else:
        yield f"The case is {held.status.replace('_', ' ')}; {held.owner or 'nobody'} has it."


def _named(members: Sequence[Member]) -> str:
    shown = ", ".join(one.entity.text for one in members[:_MOST_NAMED])
    more = len(members) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def plural(number: int, word: str) -> str:
    """`1 ring`, `3 rings`, `2 addresses`."""
    return f"{number:,} {word if number == 1 else f'{word}es' if word.endswith('s') else f'{word}s'}"
