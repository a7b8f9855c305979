"""Tokens of an OpenID Connect provider, signed here: which are taken, and which are not."""

import json
import time
from pathlib import Path

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient

from graphs.errors import ConfigError, NotFoundError
from graphs.investigation.app import create_app
from graphs.investigation.oidc import Tokens
from graphs.investigation.problems import UnauthorizedError
from graphs.investigation.settings import Oidc, ServeSettings
from graphs.stores.actors import Actor
from graphs.stores.people import set_person

ISSUER, AUDIENCE = "https://login.bank.example", "ringtrace"


@pytest.fixture(scope="module")
def private_keys():
    return [rsa.generate_private_key(public_exponent=65_537, key_size=2048) for _ in range(2)]


@pytest.fixture
def jwks(private_keys, tmp_path):
    known = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_keys[0].public_key()))
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [known | {"kid": "first", "alg": "RS256", "use": "sig"}]}))
    return path


@pytest.fixture
def client(workspace, jwks):
    roles = {"fraud-desk": "investigator", "fraud-lead": "lead"}
    oidc = Oidc(ISSUER, AUDIENCE, str(jwks), role_claim="groups", name_claim="email", roles=roles)
    return TestClient(create_app(workspace, ServeSettings(oidc=oidc)))


@pytest.fixture
def ask(client, private_keys):
    """A function (changes to the claims, key=, kid=, algorithm=) -> the answer to who asks with such a token."""

    def make(changes=None, *, key=private_keys[0], kid="first", algorithm="RS256"):
        now = int(time.time())
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "00u1", "email": "mia@bank.example", "iat": now,
                 "exp": now + 300, "groups": ["staff", "fraud-desk"]}  # fmt: skip
        claims = {name: value for name, value in (usual | (changes or {})).items() if value is not None}
        token = jwt.encode(claims, key, algorithm, headers={"kid": kid})
        return client.get("/api/v1/exports/rings.csv", headers={"Authorization": f"Bearer {token}"})

    return make


def test_a_token_of_the_provider_is_taken_with_the_role_of_its_groups(ask, workspace):
    assert ask().status_code == 200
    assert ask({"groups": ["staff"]}).status_code == 401
    with workspace.store.read() as connection:
        who = connection.exec_driver_sql("SELECT DISTINCT actor, role FROM audit WHERE action = 'export'").all()
    assert [tuple(row) for row in who] == [("mia@bank.example", "investigator")]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-service"},
        {"aud": None},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"groups": None},
        {"groups": "admin"},
        {"groups": [["fraud-lead"], 7]},
        {"email": None},
        {"email": "  "},
        {"email": 7},
    ],
)
def test_a_token_that_is_not_for_us_or_not_in_time_is_refused(ask, changes):
    answer = ask(changes)
    assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"


def test_a_token_signed_by_another_key_or_by_none_is_refused(ask, private_keys, jwks):
    assert ask(key=private_keys[1]).status_code == 401
    assert ask(kid="second").status_code == 401
    assert ask(key=None, algorithm="none").status_code == 401
    # What is public must not serve as the secret of a symmetric signature.
    assert ask(key="x" * 64 + jwks.read_text(), algorithm="HS256").status_code == 401


def test_an_inactive_person_stays_out_whatever_their_token_says(ask, workspace):
    set_person(workspace.store, Actor("root", "admin"), "mia@bank.example", "lead", active=False)
    assert ask().status_code == 401


def test_without_a_provider_a_token_is_no_key(app, private_keys):
    token = jwt.encode({"sub": "x"}, private_keys[0], "RS256")
    answer = TestClient(app).get("/api/v1/rings", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401 and token not in answer.text


def test_keys_at_an_address_are_fetched_once_and_for_a_new_one_not_at_every_try(
    workspace, jwks, private_keys, monkeypatch
):
    fetched = []

    def fetch(client):
        fetched.append(client.uri)
        client.jwk_set_cache.put(json.loads(jwks.read_text()))
        return json.loads(jwks.read_text())

    monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", fetch)
    tokens = Tokens(Oidc(ISSUER, AUDIENCE, f"{ISSUER}/keys"))
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "mia", "iat": now, "exp": now + 60, "role": "lead"}
    assert tokens.actor(jwt.encode(claims, private_keys[0], "RS256", headers={"kid": "first"})).role == "lead"
    for _ in range(5):
        with pytest.raises(UnauthorizedError):
            tokens.actor(jwt.encode(claims, private_keys[1], "RS256", headers={"kid": "unseen"}))
    assert fetched == [f"{ISSUER}/keys"] * 2


def test_a_provider_is_read_from_yaml_with_its_keys_beside_it(jwks):
    path = jwks.parent / "oidc.yaml"
    path.write_text(yaml.safe_dump({"issuer": ISSUER, "audience": AUDIENCE, "jwks": "jwks.json"}))
    found = Oidc.read(path)
    assert Path(found.jwks) == jwks and found.roles["lead"] == "lead" and found.name_claim == "sub"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"issuer": ISSUER}, "audience, jwks missing"),
        ({"isuer": ISSUER}, "isuer: no such key"),
        ({"issuer": ISSUER, "audience": AUDIENCE, "jwks": "http://login.bank.example/keys"}, "https"),
        ({"issuer": ISSUER, "audience": AUDIENCE, "jwks": "jwks.json", "roles": {"x": "boss"}}, "oidc.roles.x"),
        ({"issuer": "", "audience": AUDIENCE, "jwks": "jwks.json"}, "oidc.issuer"),
        ([ISSUER], "expected keys and values"),
    ],
)
def test_a_provider_that_is_not_whole_is_told(jwks, given, told):
    path = jwks.parent / "oidc.yaml"
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(ConfigError, match=told):
        Oidc.read(path)


def test_keys_that_are_not_there_are_told(tmp_path):
    with pytest.raises(NotFoundError, match="is no file"):
        Oidc(ISSUER, AUDIENCE, str(tmp_path / "jwks.json"))
    with pytest.raises(NotFoundError, match="is no file"):
        Oidc.read(tmp_path / "oidc.yaml")
