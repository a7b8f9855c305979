"""How often somebody may: a token bucket for each name, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from graphs.investigation.problems import TooManyError

_MOST_NAMES = 10_000


class Buckets:
    """A bucket for each name holds a minute's worth of `per_minute` and refills evenly. Thread-safe."""

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._most, self._clock = per_minute / 60, max(1.0, per_minute), clock
        self._held: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def check(self, name: str) -> None:
        """Raise TooManyError if the bucket of `name` is empty."""
        self._use(name, 0)

    def take(self, name: str) -> None:
        """Take one out of the bucket of `name`; raise TooManyError if it is empty."""
        self._use(name, 1)

    def _use(self, name: str, count: int) -> None:
        with self._lock:
            now = self._clock()
            held, since = self._held.get(name, (self._most, now))
            held = min(self._most, held + (now - since) * self._per_second)
            if held < 1:
                raise TooManyError("too many requests; wait a little", (1 - held) / self._per_second)
            if count:
                if len(self._held) >= _MOST_NAMES:
                    self._forget(now)
                self._held[name] = (held - count, now)

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again, and if all are in use the older half."""
        used = {
            name: (held, since) for name, (held, since) in self._held.items()
            if held + (now - since) * self._per_second < self._most
        }  # fmt: skip
        self._held = dict(list(used.items())[-_MOST_NAMES // 2 :])
