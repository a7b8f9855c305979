"""Who comes in: keys, sessions, and what neither can do."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
import pytest
from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from graphs.investigation import access, keys
from graphs.investigation.app import create_app
from graphs.investigation.limits import Buckets
from graphs.investigation.problems import TooManyError
from graphs.investigation.settings import ServeSettings
from graphs.stores.actors import Actor
from graphs.stores.models import api_keys, audit
from graphs.stores.people import revoke_key, set_person

ROOT = Actor("root", "admin")
ME = "/api/v1/settings"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def lines(workspace, action):
    with workspace.store.read() as connection:
        return connection.execute(select(audit).where(audit.c.action == action)).all()


# ------------------------------------------------------------------------------------------------------------ keys


def test_of_a_key_only_an_argon2id_hash_is_kept(workspace, key_of):
    key = key_of("ana")
    with workspace.store.read() as connection:
        kept = connection.execute(select(api_keys)).one()
    prefix, secret = keys.parts_of(key)
    assert kept.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$") and kept.prefix == prefix
    assert secret not in str(tuple(kept)) and len(secret) == 43
    assert keys.proves(secret, kept) and not keys.proves(secret[:-1], kept)


@pytest.mark.parametrize("spoil", [lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"), lambda key: key[:14],
                                   lambda key: f"rt_{'0' * 10}_{key[14:]}", lambda key: "", lambda key: f"{key}x",
                                   lambda key: "rt__", lambda key: "Ünsinn", lambda key: "x" * 5000])  # fmt: skip
def test_a_key_that_is_not_quite_one_opens_nothing(app, key_of, spoil):
    wrong = spoil(key_of("ana")).encode("latin-1", "replace")
    assert TestClient(app).get(ME, headers={"Authorization": b"Bearer " + wrong}).status_code == 401


def test_a_key_is_proved_once_and_its_standing_looked_up_each_time(app, workspace, key_of, monkeypatch):
    key, client, proofs = key_of("ana"), TestClient(app), []
    proves = keys.proves
    monkeypatch.setattr(keys, "proves", lambda *both: proofs.append(1) or proves(*both))
    assert [client.get(ME, headers=bearer(key)).status_code for _ in range(5)] == [200] * 5 and len(proofs) == 1
    revoke_key(workspace.store, ROOT, keys.parts_of(key)[0])
    assert client.get(ME, headers=bearer(key)).status_code == 401


def test_a_key_ends_when_it_expires_or_its_owner_may_no_longer_act(app, workspace, key_of):
    client = TestClient(app)
    old = key_of("ana", datetime.now(UTC) - timedelta(seconds=1))
    good = key_of("vic", datetime.now(UTC) + timedelta(hours=1))
    assert client.get(ME, headers=bearer(old)).status_code == 401
    assert client.get(ME, headers=bearer(good)).status_code == 200
    set_person(workspace.store, ROOT, "vic", "viewer", active=False)
    assert client.get(ME, headers=bearer(good)).status_code == 401


def test_a_role_that_was_changed_holds_at_once(app, workspace, key_of):
    client, key = TestClient(app, headers=bearer(key_of("vic"))), {"reason": "x"}
    assert client.put("/api/v1/watch/device/d1", json=key).status_code == 403
    set_person(workspace.store, ROOT, "vic", "investigator")
    assert client.put("/api/v1/watch/device/d1", json=key).status_code == 200


def test_who_fails_is_in_the_audit_without_what_they_tried(app, workspace, key_of):
    key = key_of("ana")
    TestClient(app).get(ME, headers=bearer(f"{key[:-3]}zzz"))
    (line,) = lines(workspace, "sign_in_failed")
    assert line.subject == f"key:{keys.parts_of(key)[0]}" and line.actor == "nobody"
    assert line.detail == {"from": "testclient", "why": "the key is wrong"} and key[14:30] not in str(tuple(line))


def test_who_fails_too_often_waits_and_those_who_proved_themselves_do_not(workspace, key_of):
    client = TestClient(create_app(workspace, ServeSettings(failures_per_minute=3)))
    good, fresh = key_of("ana"), key_of("vic")
    assert client.get(ME, headers=bearer(good)).status_code == 200
    tried = [client.get(ME, headers=bearer(f"rt_{number:010}_x")).status_code for number in range(5)]
    assert tried == [401, 401, 401, 429, 429] and len(lines(workspace, "sign_in_failed")) == 3
    assert client.get(ME, headers=bearer(good)).status_code == 200
    assert client.get(ME, headers=bearer(fresh)).headers["retry-after"]


def test_a_bucket_refills_evenly_and_holds_for_many_at_once():
    now = [0.0]
    buckets = Buckets(60, clock=lambda: now[0])
    for _ in range(60):
        buckets.take("ana")
    with pytest.raises(TooManyError) as told:
        buckets.take("ana")
    now[0] = 2.0
    assert told.value.retry_after == 1 and buckets.take("ana") is None and buckets.take("ana") is None
    with pytest.raises(TooManyError):
        buckets.take("ana")
    taken, many = [], Buckets(100, clock=lambda: 0.0)
    threads = [threading.Thread(target=lambda: taken.extend(_takes(many, 50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 100


def _takes(buckets, times):
    for _ in range(times):
        try:
            buckets.take("ana")
            yield True
        except TooManyError:
            yield False


def test_buckets_forget_those_who_have_not_asked_for_long():
    now = [0.0]
    buckets = Buckets(60, clock=lambda: now[0])
    for number in range(10_000):
        buckets.take(f"name {number}")
    now[0] = 60.0
    buckets.take("ana")
    assert list(buckets._held) == ["ana"]


# -------------------------------------------------------------------------------------------------------- sessions


@pytest.fixture
def console_of(workspace):
    """A function settings -> an application with the least of a console: sign in, look, write, sign out."""

    def make(settings=None):
        app = create_app(workspace, settings)

        @app.post("/x/in")
        def enter(request: Request, key: str):
            session, response = access.sign_in(request, key), JSONResponse({})
            session.put(response)
            return response

        @app.get("/x/me")
        def me(request: Request, actor: Annotated[Actor, Depends(access.current_actor)]):
            return {"name": actor.name, "channel": actor.channel, "csrf": access.csrf_token(request)}

        @app.post("/x/out")
        def leave(request: Request, token: str = ""):
            access.check_csrf(request, token)
            response = JSONResponse({})
            access.sign_out(request, response)
            return response

        return app

    return make


@pytest.fixture
def browser(console_of, key_of):
    """A browser in which ana is signed in."""
    client = TestClient(console_of())
    assert client.post("/x/in", params={"key": key_of("ana")}).status_code == 200
    return client


def test_a_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(console_of, key_of):
    plain = TestClient(console_of()).post("/x/in", params={"key": key_of("ana")}).headers["set-cookie"]
    over_tls = TestClient(console_of(ServeSettings(https=True)), base_url="https://testserver")
    safe = over_tls.post("/x/in", params={"key": key_of("ana")}).headers["set-cookie"]
    for cookie in (plain, safe):
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; ")) and "Domain" not in cookie
    assert safe.startswith("__Host-ringtrace=") and "Secure" in safe.split("; ") and "Secure" not in plain
    assert "max-age=31536000" in over_tls.get("/healthz").headers["strict-transport-security"]


def test_a_session_acts_as_its_owner_through_the_console(browser):
    me = browser.get("/x/me").json()
    assert me["name"] == "ana" and me["channel"] == "console" and len(me["csrf"]) == 64


def test_a_session_holds_no_key_and_a_changed_one_is_none(browser, workspace):
    (cookie,) = browser.cookies.values()
    claims = jwt.decode(cookie, options={"verify_signature": False})
    assert set(claims) == {"sub", "jti", "aud", "iat", "exp"}
    forged = [
        jwt.encode(claims | {"exp": 9_999_999_999}, "guess" * 8, "HS256"),
        jwt.encode(claims | {"exp": 9_999_999_999}, None, "none"),
        cookie[:-2],
        "",
    ]
    for one in forged:
        assert TestClient(browser.app, cookies={"ringtrace": one}).get("/x/me").status_code == 401
    assert claims["exp"] - claims["iat"] == 8 * 3600


def test_a_session_ends_with_its_key_its_time_or_its_owner(console_of, browser, workspace, key_of):
    soon = TestClient(console_of(ServeSettings(session_hours=-1)))
    soon.post("/x/in", params={"key": key_of("vic")})
    short = key_of("lea", datetime.now(UTC) + timedelta(minutes=5))
    ends = TestClient(browser.app).post("/x/in", params={"key": short}).headers["set-cookie"]
    assert soon.get("/x/me").status_code == 401 and "Max-Age=29" in ends
    (cookie,) = browser.cookies.values()
    revoke_key(workspace.store, ROOT, jwt.decode(cookie, options={"verify_signature": False})["sub"])
    assert browser.get("/x/me").status_code == 401


def test_signing_out_ends_the_session_wherever_its_cookie_went(browser, workspace):
    copied = TestClient(browser.app, cookies=dict(browser.cookies))
    assert browser.post("/x/out", params={"token": browser.get("/x/me").json()["csrf"]}).status_code == 200
    assert not browser.cookies and copied.get("/x/me").status_code == 401
    assert lines(workspace, "sign_out")[0].subject == lines(workspace, "sign_in")[0].subject


def test_a_form_needs_the_token_of_its_own_session(browser, key_of):
    other = TestClient(browser.app)
    other.post("/x/in", params={"key": key_of("ana")})
    foreign = other.get("/x/me").json()["csrf"]
    for token in ("", "x", "ü", foreign):
        assert browser.post("/x/out", params={"token": token}).status_code == 403
    assert TestClient(browser.app).post("/x/out", params={"token": foreign}).status_code == 403


def test_a_write_to_the_api_with_a_cookie_needs_the_token_too(browser):
    note = {"json": {"text": "called"}}
    token = browser.get("/x/me").json()["csrf"]
    assert browser.get("/api/v1/rings").status_code == 200
    assert browser.post("/api/v1/cases/C-1/notes", **note).status_code == 403
    assert browser.post("/api/v1/cases/C-1/notes", **note, headers={"X-CSRF-Token": token}).status_code == 201


@pytest.mark.parametrize(
    "sent", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
             {"Origin": "null"}]
)  # fmt: skip
def test_what_another_site_sends_is_refused(browser, key_of, sent):
    token = browser.get("/x/me").json()["csrf"]
    assert browser.post("/x/out", params={"token": token}, headers=sent).status_code == 403
    assert browser.post("/x/in", params={"key": key_of("ana")}, headers=sent).status_code == 403
    assert browser.get("/x/me").status_code == 200


def test_what_our_own_page_sends_is_taken(browser):
    token = browser.get("/x/me").json()["csrf"]
    sent = {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}
    assert browser.post("/x/out", params={"token": token}, headers=sent).status_code == 200


def test_every_answer_carries_the_headers_that_keep_browsers_from_harm(browser):
    for path in ("/healthz", "/x/me", "/nowhere", "/api/v1/openapi.json"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store" and "server" not in headers


def test_health_needs_no_key_and_tells_when_the_store_is_gone(app, workspace, monkeypatch):
    client = TestClient(app)
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    gone = OperationalError("SELECT", {}, Exception("gone"))
    monkeypatch.setattr(type(workspace.store), "read", lambda _: (_ for _ in ()).throw(gone))
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]
