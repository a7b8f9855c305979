"""Who sees which part of an identity: the one place where ids are shortened, for CLI, API and console.

A card number is never shown beyond its first six and last four digits; other ids are whole for those who
investigate and shortened for viewers. What is shortened still has a `key` to follow: sealed under a secret of the
store, the same every time, and worth nothing outside of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape

from graphs.logs import mask
from graphs.stores.actors import Actor

CARD_TYPES = ("card",)
_SEALED = "~"
_TAG_BYTES = 8


@dataclass(frozen=True)
class Entity:
    """An entity as one person may see it: `text` to show, `key` for links and further questions.

    `key` is the id itself unless `masked`; queries take either.
    """

    type: str
    text: str
    key: str
    masked: bool


@dataclass(frozen=True)
class Masker:
    """Shows entities to `actor`. `secret` is that of the store, `CaseStore.secret`."""

    actor: Actor
    secret: bytes

    def entity(self, entity_type: str, entity_id: str) -> Entity:
        """The entity as the actor may see it."""
        text = self._shown(entity_type, entity_id)
        masked = text != entity_id
        return Entity(entity_type, text, self.seal(entity_id) if masked else entity_id, masked)

    def prose(self, text: str, entities: Iterable[tuple[str, str]] = ()) -> str:
        """`text` without card numbers and e-mail addresses, and the ids of `entities` in it as the actor sees them."""
        shown: dict[str, str] = {}
        for kind, key in entities:
            seen = self._shown(kind, key)
            if seen != key:
                shown |= {key: seen, escape(key): escape(seen)}
        if shown:
            longest_first = sorted(shown, key=len, reverse=True)
            pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"
            text = re.sub(pattern, lambda match: shown[match.group()], text)
        return mask(text)

    def seal(self, entity_id: str) -> str:
        """The handle of an id: its HMAC, then the id under a key stream drawn from it (the idea of RFC 5297)."""
        raw = entity_id.encode()
        tag = hmac.digest(self.secret, b"tag" + raw, hashlib.sha256)[:_TAG_BYTES]
        return _SEALED + base64.urlsafe_b64encode(tag + self._crypt(tag, raw)).decode().rstrip("=")

    def open(self, key: str) -> str:
        """The id behind a handle of this store; anything else is an id already and comes back as it is."""
        if not key.startswith(_SEALED):
            return key
        try:
            sealed = base64.urlsafe_b64decode(key[1:] + "=" * (-(len(key) - 1) % 4))
        except (binascii.Error, ValueError):
            return key
        tag, raw = sealed[:_TAG_BYTES], self._crypt(sealed[:_TAG_BYTES], sealed[_TAG_BYTES:])
        if not hmac.compare_digest(tag, hmac.digest(self.secret, b"tag" + raw, hashlib.sha256)[:_TAG_BYTES]):
            return key
        return raw.decode()

    def _crypt(self, tag: bytes, raw: bytes) -> bytes:
        stream = b""
        while len(stream) < len(raw):
            stream += hmac.digest(self.secret, b"stream" + tag + len(stream).to_bytes(4), hashlib.sha256)
        return bytes(left ^ right for left, right in zip(raw, stream, strict=False))

    def _shown(self, entity_type: str, entity_id: str) -> str:
        digits = re.sub(r"[ -]", "", entity_id)
        if entity_type in CARD_TYPES and re.fullmatch(r"[0-9]{11,}", digits):
            return f"{digits[:6]}{'*' * (len(digits) - 10)}{digits[-4:]}"
        if not self.actor.may("see_ids"):
            kept = 2 if len(entity_id) >= 8 else 1 if len(entity_id) >= 4 else 0
            return f"{entity_id[:kept]}…{entity_id[len(entity_id) - kept :]}"
        return mask(entity_id)
