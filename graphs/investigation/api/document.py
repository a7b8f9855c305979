"""The OpenAPI document: what FastAPI derives from the routes, with every refusal in its one form and an example of
every body and answer. Shapes come from the values that queries answer with; nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from graphs.investigation.problems import MEDIA_TYPE, Fault, Problem, title_of

ABOUT = (
    "Fraud rings: find out, decide, pass the verdict back. Every answer is masked for who asks, and audited. "
    "What is possible here is possible on the command line (`ringtrace rings`), and the other way round."
)
_REF = "#/components/schemas/"
_JSON = "application/json"
_ALWAYS = (400, 401, 403, 404, 422, 429)
_VERSIONED = (409, 412, 428)
_BODY = (409, 413)

Schema = dict[str, Any]


def document(app: FastAPI) -> Schema:
    """The document of `app`, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        shapes = made["components"]["schemas"]
        for stock in ("HTTPValidationError", "ValidationError"):
            shapes.pop(stock, None)
        problem = TypeAdapter(Problem).json_schema(mode="serialization", ref_template=f"{_REF}{{model}}")
        shapes |= problem.pop("$defs") | {"Problem": problem}
        for operation in _operations(made):
            _tell_refusals(operation)
            _add_examples(operation, shapes)
        app.openapi_schema = made
    return app.openapi_schema


def example_of(schema: Mapping[str, Any], shapes: Mapping[str, Schema], name: str = "") -> Any:
    """A value that fits `schema`: by the name of the field where that says what it is like, else by its type."""
    if "$ref" in schema:
        return example_of(shapes[schema["$ref"].removeprefix(_REF)], shapes, name)
    for word in ("enum", "prefixItems"):
        if word in schema:
            found = schema[word]
            return found[0] if word == "enum" else [example_of(one, shapes) for one in found]
    if "const" in schema or ("default" in schema and name not in _SAMPLES):
        return schema.get("const", schema.get("default"))
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], shapes, name)
    kind = schema.get("type")
    if name in _SAMPLES and _fits(_SAMPLES[name], kind):
        return _SAMPLES[name]
    if kind == "object":
        fields = {key: example_of(one, shapes, key) for key, one in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties")
        return fields or (
            {_KEYS.get(name, "name"): example_of(more, shapes)} if isinstance(more, dict) and more else {}
        )
    if kind == "array":
        return [example_of(schema.get("items", {}), shapes, name)]
    if schema.get("format") == "date-time":
        return "2025-03-01T10:00:00Z"
    return {"string": "text", "integer": 3, "number": 0.5, "boolean": True}.get(str(kind), "text")


_SAMPLES: dict[str, Any] = {
    "ring_id": "R-7F3K2Q", "other_ring_id": "R-2M8XQ4", "merged_into": None, "case_id": "C-12",
    "previous_case_id": "C-9", "entity_type": "user", "entity_id": "u90ss3vxc", "event_id": "p77r2kq0d",
    "event_type": "payment", "owner": "ana", "person": "ana", "actor": "ana", "name": "ana", "to": "ana",
    "changed_by": "ana", "decided_by": "ana", "written_by": "ana", "set_by": "lea", "closed_by": "lea",
    "imported_by": "lea", "close_requested_by": "ana", "headline": "5 users share a device.", "kind": "device_farm",
    "role": "mule", "part": "member", "reason": "passes everything on within the hour", "note": "called the bank",
    "cursor": "WyJzY29yZSIsIDEuMCwgIlItQSJd", "next": None, "picture": None, "channel": "api", "action": "claim",
    "subject": "case:C-12", "prefix": "3f9a1c22d0", "key": "u90ss3vxc", "api_key": "rt_3f9a1c22d0_…",
    "batch": "B-1F2E3D4C",
    "waiting_for": "the bank of the receiver", "opened_because": "found by the finder",
    "outcome_reason": "see the verdicts", "evidence": "9f8e7d6c", "id": "u90ss3vxc", "type": "user",
}  # fmt: skip
"""Values that say more than their type does, by the name of their field."""

_KEYS = {"counts": "grown", "verdicts": "mule", "attributes": "country", "details": "channel", "detail": "version"}


def _fits(sample: Any, kind: str | None) -> bool:
    return {"string": str, "null": type(None)}.get(str(kind)) is type(sample)


def _operations(made: Schema) -> Iterator[Schema]:
    for path, methods in made["paths"].items():
        for operation in methods.values():
            operation["x-path"] = path
            yield operation


def _tell_refusals(operation: Schema) -> None:
    answers = operation["responses"]
    answers.pop("422", None)
    if operation.pop("x-path") == "/healthz":
        return
    statuses: set[int] = {503} if operation.get("tags") == ["health"] else set(_ALWAYS)
    if any(one["name"] == "if-match" for one in operation.get("parameters", ())):
        statuses |= set(_VERSIONED)
    if "requestBody" in operation:
        statuses |= {*_BODY, 415} if _JSON not in operation["requestBody"]["content"] else set(_BODY)
    for status in sorted(statuses):
        answers[str(status)] = {
            "description": title_of(status),
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_REF}Problem"}, "example": _problem(status)}},
        }


def _problem(status: int) -> Schema:
    title = title_of(status)
    faults = (Fault("body.reason", "Field required"),) if status == 422 else ()
    kind = f"urn:ringtrace:{title.lower().replace(' ', '-')}"
    return asdict(Problem(kind, title, status, "What to do about it.", "5eb45f07061760ce", faults))


def _add_examples(operation: Schema, shapes: Mapping[str, Schema]) -> None:
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for part in (*bodies, *operation["responses"].values()):
        told = part.get("content", {}).get(_JSON)
        if told is not None and "example" not in told:
            told["example"] = example_of(told["schema"], shapes)
    for parameter in operation.get("parameters", ()):
        if parameter["required"]:
            parameter["example"] = _PARAMETERS.get(parameter["name"], example_of(parameter["schema"], shapes))


_PARAMETERS = {
    "ring": "R-7F3K2Q", "case": "C-12", "entity_type": "user", "key": "u90ss3vxc", "id": "u90ss3vxc",
    "from": "user:u90ss3vxc", "to": "user:ugxpx5bek", "if-match": '"3"', "name": "ana", "prefix": "3f9a1c22d0",
    "batch": "B-1F2E3D4C",
}  # fmt: skip
