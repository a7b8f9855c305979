"""Columns of generated events before they become tables: entity codes and times as arrays of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

KINDS = ("purchase", "verification", "refund")
CHANNELS = ("app", "web", "store")
PARTS = (
    "ordinary",
    "look_alike",
    "stolen_card",
    "card_test",
    "cash_out",
    "collusion",
    "refund_abuse",
    "layering",
    "build_up",
    "bust_out",
    "takeover",
)
"""What an event is in truth: the part it plays in a scheme."""

PURCHASE, VERIFICATION, REFUND = range(3)
APP, WEB, STORE = range(3)


@dataclass(frozen=True)
class Payments:
    """(rows,) each. Codes are MISSING (-1) where there is none; `address` is where goods are sent; `ring` and `group`
    are codes of truth tables."""

    time: np.ndarray
    user: np.ndarray
    card: np.ndarray
    device: np.ndarray
    merchant: np.ndarray
    address: np.ndarray
    amount: np.ndarray
    kind: np.ndarray
    channel: np.ndarray
    fraud: np.ndarray
    ring: np.ndarray
    group: np.ndarray
    part: np.ndarray


@dataclass(frozen=True)
class Transfers:
    """(rows,) each: money from one user to another, sent from a device of the sender."""

    time: np.ndarray
    sender: np.ndarray
    receiver: np.ndarray
    device: np.ndarray
    amount: np.ndarray
    fraud: np.ndarray
    ring: np.ndarray
    group: np.ndarray
    part: np.ndarray


@dataclass(frozen=True)
class Logins:
    """(rows,) each: a user's session on a device; `failed` is a wrong password."""

    time: np.ndarray
    user: np.ndarray
    device: np.ndarray
    failed: np.ndarray


@dataclass(frozen=True)
class CardLinks:
    """(rows,) each: a user registers a card on a device."""

    time: np.ndarray
    user: np.ndarray
    card: np.ndarray
    device: np.ndarray


ENTITY_TYPES = ("user", "device", "card", "merchant", "address", "ip")
ROLES = ("organiser", "mule", "victim", "insider", "tool", "member")


@dataclass(frozen=True)
class Members:
    """(rows,) each: what an entity is to a ring or group (`owner`, its code), from `time` until `until` (µs UTC)."""

    owner: np.ndarray
    entity_type: np.ndarray
    code: np.ndarray
    role: np.ndarray
    time: np.ndarray
    until: np.ndarray


_TYPES = {
    "time": np.int64,
    "until": np.int64,
    "amount": np.float64,
    "fraud": np.bool_,
    "failed": np.bool_,
    "kind": np.int8,
    "channel": np.int8,
    "part": np.int8,
    "entity_type": np.int8,
    "role": np.int8,
}
Frame = TypeVar("Frame", Payments, Transfers, Logins, CardLinks, Members)


def frame(table: type[Frame], /, **columns: np.ndarray | float) -> Frame:
    """A frame with every column at its own type and at the length of the longest; single values are
    repeated."""
    length = max(np.size(column) if np.ndim(column) else 0 for column in columns.values())
    return table(
        **{
            field.name: np.broadcast_to(np.asarray(columns.get(field.name, -1)), (length,)).astype(
                _TYPES.get(field.name, np.int32)
            )
            for field in fields(table)
        }
    )


def empty(kind: type[Frame]) -> Frame:
    return frame(kind, time=np.empty(0, dtype=np.int64))


def concat(kind: type[Frame], frames: Sequence[Frame]) -> Frame:
    """Frames of one kind below each other."""
    if not frames:
        return empty(kind)
    return kind(**{f.name: np.concatenate([getattr(part, f.name) for part in frames]) for f in fields(kind)})


def take(rows: Frame, index: np.ndarray) -> Frame:
    """The rows at `index` (positions or a mask)."""
    return type(rows)(**{f.name: getattr(rows, f.name)[index] for f in fields(rows)})
