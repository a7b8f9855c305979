"""The one door of authentication: who asks, for the API and the console alike.

A bearer is an API key of this store or a token of the configured provider. The console's sign-in turns an API key into
a session: a signed cookie that scripts can't read and other sites can't send. What a key proved is remembered for a
while, its standing never: a key revoked, a person set inactive or a session signed out is out with the next request,
in every process.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import jwt
from fastapi import Request, Response
from sqlalchemy import select

from graphs.investigation import keys
from graphs.investigation.limits import Buckets
from graphs.investigation.oidc import Tokens
from graphs.investigation.problems import UnauthorizedError
from graphs.investigation.settings import ServeSettings
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.errors import ForbiddenError
from graphs.stores.models import audit
from graphs.stores.people import ApiKey, find_key, find_person

log = logging.getLogger(__name__)

PROVED_SECONDS = 300
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_AUDIENCE = "ringtrace-console"
_NOBODY = "nobody"
_MOST_PROVED = 10_000


@dataclass(frozen=True)
class Session:
    """Somebody signed in to the console until `expires_at`; `cookie` is what the browser keeps."""

    session_id: str
    actor: Actor
    expires_at: datetime
    cookie: str
    https: bool

    def put(self, response: Response) -> None:
        """Hand the cookie to the browser with this response."""
        left = int((self.expires_at - datetime.now(UTC)).total_seconds())
        response.set_cookie(
            cookie_name(https=self.https), self.cookie, max_age=left, path="/", secure=self.https, httponly=True,
            samesite="strict",
        )  # fmt: skip


class Access:
    """What the door knows: the store, the settings, which keys proved themselves lately, and who failed how often."""

    def __init__(self, workspace: Workspace, settings: ServeSettings) -> None:
        self.store, self.settings = workspace.store, settings
        self.secret = hmac.digest(self.store.secret(), b"console sessions", hashlib.sha256)
        self.requests = Buckets(settings.per_minute)
        self.failures = Buckets(settings.failures_per_minute)
        self.tokens = None if settings.oidc is None else Tokens(settings.oidc)
        self._proved: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def of_bearer(self, bearer: str, address: str) -> Actor:
        """Whose key or token it is. Raises UnauthorizedError, and TooManyError for who failed too often."""
        if keys.parts_of(bearer) is not None:
            return self.of_key(bearer, address, "api")[0]
        try:
            if self.tokens is None:
                raise UnauthorizedError("that is no API key; an admin gives you one")
            actor = self.tokens.actor(bearer)
            person = find_person(self.store, actor.name)
            if person is not None and not person.active:
                raise UnauthorizedError(f"{actor.name} may no longer act here")
            return actor
        except UnauthorizedError as error:
            self._failed("token", address, "api", str(error))
            raise

    def of_key(self, key: str, address: str, channel: str) -> tuple[Actor, ApiKey]:
        """Whose API key it is, and what is kept of it. Raises as `of_bearer` does."""
        prefix, secret = keys.parts_of(key) or ("", "")
        mark = hashlib.sha256(key.encode()).digest()
        proved = self._has_proved(mark)
        if not proved:
            self.failures.check(address)
        try:
            actor, kept = self.standing(prefix, channel)
            if not proved and not keys.proves(secret, kept):
                raise UnauthorizedError("the key is wrong")
        except UnauthorizedError as error:
            self._failed(f"key:{prefix}" if prefix else "key", address, channel, str(error))
            raise UnauthorizedError("this key is not valid (any more); an admin gives you another") from error
        if not proved:
            self._remember(mark)
        return actor, kept

    def standing(self, prefix: str, channel: str) -> tuple[Actor, ApiKey]:
        """Whose key begins with `prefix`, if it still counts."""
        kept = find_key(self.store, prefix)
        if kept is None:
            raise UnauthorizedError("there is no such key")
        if kept.revoked or (kept.expires_at is not None and kept.expires_at <= datetime.now(UTC)):
            raise UnauthorizedError("the key was revoked or has expired")
        person = find_person(self.store, kept.person)
        if person is None or not person.active:
            raise UnauthorizedError("the key's owner may no longer act")
        return Actor(person.name, person.role, channel), kept

    def new_session(self, actor: Actor, key: ApiKey) -> Session:
        """A session of who holds `key`: as long as the settings say, and no longer than the key."""
        now = datetime.now(UTC)
        end = now + timedelta(hours=self.settings.session_hours)
        end = min(end, key.expires_at or end)
        session_id = secrets.token_urlsafe(16)
        claims = {"sub": key.prefix, "jti": session_id, "aud": _AUDIENCE, "iat": now, "exp": end}
        self.store.saw(actor, "sign_in", f"session:{session_id}", {"prefix": key.prefix})
        cookie = jwt.encode(claims, self.secret, "HS256")
        return Session(session_id, actor, end, cookie, self.settings.https)

    def of_cookie(self, cookie: str) -> Session:
        """The session that the cookie is of. Raises UnauthorizedError if it is over."""
        try:
            required = ["exp", "sub", "jti"]
            claims = jwt.decode(cookie, self.secret, ["HS256"], audience=_AUDIENCE, options={"require": required})
        except jwt.PyJWTError as error:
            raise UnauthorizedError("the session is over; sign in again") from error
        actor, _ = self.standing(claims["sub"], "console")
        ended = select(audit.c.audit_id).where(
            audit.c.subject == f"session:{claims['jti']}", audit.c.action == "sign_out"
        )
        with self.store.read() as connection:
            if connection.execute(ended.limit(1)).first() is not None:
                raise UnauthorizedError("the session is over; sign in again")
        end = datetime.fromtimestamp(claims["exp"], UTC)
        return Session(claims["jti"], actor, end, cookie, self.settings.https)

    def csrf(self, session: Session) -> str:
        """What a form of this session carries."""
        return hmac.digest(self.secret, f"csrf {session.session_id}".encode(), hashlib.sha256).hex()

    def _has_proved(self, mark: bytes) -> bool:
        with self._lock:
            return self._proved.get(mark, 0) > time.monotonic()

    def _remember(self, mark: bytes) -> None:
        with self._lock:
            if len(self._proved) >= _MOST_PROVED:
                self._proved.clear()
            self._proved[mark] = time.monotonic() + PROVED_SECONDS

    def _failed(self, subject: str, address: str, channel: str, why: str) -> None:
        self.failures.take(address)
        self.store.saw(Actor(_NOBODY, "viewer", channel), "sign_in_failed", subject, {"from": address, "why": why})


def current_actor(request: Request) -> Actor:
    """Who asks: the dependency of every route that is not for everybody.

    Raises UnauthorizedError, TooManyError, and ForbiddenError for a write that another site sent with our cookie.
    """
    access = _access(request)
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and bearer:
        actor = access.of_bearer(bearer.strip(), address_of(request))
    else:
        session = session_of(request)
        if session is None:
            raise UnauthorizedError("say who you are: Authorization: Bearer rt_…, or sign in")
        if request.method not in SAFE_METHODS:
            check_origin(request)
        actor = session.actor
    access.requests.take(actor.name)
    request.state.actor = actor
    return actor


def api_actor(request: Request) -> Actor:
    """As `current_actor`; a write with the console's cookie needs its token in the header X-CSRF-Token besides."""
    actor = current_actor(request)
    if actor.channel == "console" and request.method not in SAFE_METHODS:
        check_csrf(request, request.headers.get("x-csrf-token"))
    return actor


def sign_in(request: Request, key: str) -> Session:
    """Start a session of the console with an API key; `session.put(response)` hands it to the browser.

    Raises UnauthorizedError if the key is not valid, TooManyError, and ForbiddenError if another site sent this.
    """
    check_origin(request)
    access = _access(request)
    return access.new_session(*access.of_key(key.strip(), address_of(request), "console"))


def sign_out(request: Request, response: Response) -> None:
    """End the session, here and wherever its cookie may have gone. Call `check_csrf` first."""
    access = _access(request)
    session = session_of(request)
    if session is not None:
        access.store.saw(session.actor, "sign_out", f"session:{session.session_id}")
    https = access.settings.https
    response.delete_cookie(cookie_name(https=https), path="/", secure=https, httponly=True, samesite="strict")


def session_of(request: Request) -> Session | None:
    """The session that the request's cookie is of; None without a cookie. Raises UnauthorizedError if it is over."""
    access = _access(request)
    cookie = request.cookies.get(cookie_name(https=access.settings.https))
    if cookie is None:
        return None
    if getattr(request.state, "session", None) is None:
        request.state.session = access.of_cookie(cookie)
    found: Session = request.state.session
    return found


def csrf_token(request: Request) -> str:
    """The token that the session's forms carry in a hidden field, and its scripts in X-CSRF-Token; empty without a
    session."""
    session = session_of(request)
    return "" if session is None else _access(request).csrf(session)


def check_csrf(request: Request, token: str | None) -> None:
    """Raise ForbiddenError unless `token` is that of the request's session and the request came from our own pages."""
    check_origin(request)
    expected = csrf_token(request)
    if not expected or not hmac.compare_digest(expected.encode(), (token or "").encode("utf-8", "replace")):
        raise ForbiddenError("this form is not from the page you see, or too old; load the page again")


def check_origin(request: Request) -> None:
    """Raise ForbiddenError if the browser says that another site sent this."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in ("same-origin", "none") if site is not None else (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    )  # fmt: skip
    if foreign:
        raise ForbiddenError("another site sent this; open the console and do it there")


def cookie_name(*, https: bool) -> str:
    """The cookie of sessions; over TLS with the prefix that makes browsers insist on its flags."""
    return "__Host-ringtrace" if https else "ringtrace"


def address_of(request: Request) -> str:
    """Where the request comes from; behind a proxy that is trusted, what that one says."""
    return "unknown" if request.client is None else request.client.host


def _access(request: Request) -> Access:
    found: Access = request.app.state.access
    return found
