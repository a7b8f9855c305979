"""Schemathesis against the application: what its document promises holds, whatever is sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from graphs.investigation.app import create_app
from graphs.investigation.keys import make_key
from graphs.investigation.settings import ServeSettings
from graphs.stores.actors import Actor

TAGS = ("health", "rings", "entities", "cases", "lists", "administration")
CHECKS = {
    # 400 says what no schema can: no such type of entity, no cursor of this list, no zip of a run.
    "positive_data_acceptance": {"expected-statuses": ["2xx", 400, 403, 404, 409, 412, 415]},
}


@schemathesis.serializer("application/zip")
def as_it_is(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def operations(shared):
    """The operations by tag, of an application in which nobody is turned away for asking too often."""
    app = create_app(shared, ServeSettings(per_minute=1e6, failures_per_minute=1e6))
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    found = {tag: [] for tag in TAGS}
    for one in schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, config=config).get_all_operations():
        operation = one.ok()
        found[operation.tags[0]].append(operation)
    return found


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("tag", TAGS)
def test_the_api_keeps_what_its_document_promises(operations, shared, tag, mode):
    key, _ = make_key(shared.store, Actor("root", "admin"), "root")
    assert operations[tag]
    for operation in operations[tag]:
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters or operation.body):
            continue

        @settings(max_examples=4, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def holds(case):
            case.headers["Authorization"] = f"Bearer {key}"
            case.call_and_validate()

        holds()
