"""What a case store refuses: somebody else was first, or the person may not do this."""

from __future__ import annotations

from graphs.errors import RingtraceError


class ConflictError(RingtraceError):
    """The case is no longer what the caller saw: claimed by another, changed meanwhile, or closed."""

    http_status = 409


class StaleError(ConflictError):
    """The version the caller named is not the present one; read again, then decide."""

    http_status = 412


class ForbiddenError(RingtraceError):
    """The person's role does not allow this."""

    http_status = 403
