"""The description of the HTTP API (OpenAPI 3.1), which a test keeps true."""

from __future__ import annotations

from typing import Any

__all__ = ["description"]

Schema = dict[str, Any]

NUMBER: Schema = {"type": ["number", "null"]}
OBJECT: Schema = {"type": "object"}
PAIR: Schema = {"type": ["array", "null"], "items": NUMBER}
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {key: {"type": "string"} for key in ("code", "message", "hint")},
        }
    },
}
EVENT: Schema = {
    "type": "object",
    "required": ["t", "kind", "source", "text"],
    "properties": {
        "t": {"type": "number"},
        **{k: {"type": "string"} for k in ("kind", "source", "text")},
    },
}
SERIES: Schema = {
    "type": "object",
    "required": ["t"],
    "properties": {key: {"type": "array", "items": NUMBER} for key in ("t", "v", "min", "max")},
}
DATA: Schema = {
    "type": "object",
    "required": ["series", "nonfinite", "next", "more"],
    "properties": {
        "series": {"type": "object", "additionalProperties": SERIES},
        "nonfinite": {"type": "object", "additionalProperties": {"type": "array"}},
        "next": {"type": "string"},
        "more": {"type": "boolean"},
    },
}
NAMES = {
    "name": "name", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}, "explode": True,
}  # fmt: skip


def _wrapped(key: str, kind: str, items: Schema | None = None) -> Schema:
    inner: Schema = {"type": kind}
    if items is not None:
        inner["items" if kind == "array" else "additionalProperties"] = items
    return {"type": "object", "required": [key], "properties": {key: inner}}


def _query(name: str, kind: str = "number", **more: Any) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind, **more}}


def _path(name: str, kind: str = "string", **more: Any) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": kind, **more}}


def _answers(schema: Schema | None, media: str, status: str = "200") -> Schema:
    content = {media: {"schema": schema} if schema is not None else {}}
    refused = {
        "description": "refused, with why",
        "content": {"application/json": {"schema": ERROR}},
    }
    return {status: {"description": "the answer", "content": content}, "default": refused}


def _get(
    text: str, schema: Schema | None = None, parameters: tuple[Schema, ...] = (),
    media: str = "application/json", *, public: bool = False,
) -> Schema:  # fmt: skip
    made: Schema = {
        "summary": text,
        "responses": _answers(schema, media),
        "parameters": list(parameters),
    }
    return {"get": made | ({"security": []} if public else {})}


def _post(
    text: str, body: Schema, schema: Schema, parameters: tuple[Schema, ...] = (), status: str = "201",
    *, public: bool = False, needed: bool = True,
) -> Schema:  # fmt: skip
    made: Schema = {
        "summary": text,
        "parameters": list(parameters),
        "requestBody": {"required": needed, "content": {"application/json": {"schema": body}}},
        "responses": _answers(schema, "application/json", status),
    }
    return {"post": made | ({"security": []} if public else {})}


def _body(needed: tuple[str, ...], **properties: Schema) -> Schema:
    return {"type": "object", "required": list(needed), "properties": properties}


TEXT: Schema = {"type": "string"}
MADE: Schema = {
    "type": "object",
    "required": ["event"],
    "properties": {"event": {"anyOf": [EVENT, {"type": "null"}]}},
}
STATE: Schema = _body(
    ("state",),
    state=TEXT,
    reason={"type": ["string", "null"]},
    exit_code={"type": ["integer", "null"]},
)
SNAPSHOT: Schema = _body(
    ("title", "state", "now", "elapsed", "remaining", "values", "nonfinite", "parameters", "tasks", "sweeps", "alarms",
     "events", "plots", "next"),
    title=TEXT, state=TEXT, now={"type": "number"}, elapsed=NUMBER, remaining=NUMBER, values=OBJECT,
    nonfinite={"type": "array"}, parameters=OBJECT, tasks={"type": "array"}, sweeps={"type": "array"},
    alarms={"type": "array"}, events={"type": "array", "items": EVENT}, plots={"type": "array"}, next=TEXT,
)  # fmt: skip
WINDOW = (_query("since"), _query("until"))
RECORD = (_path("name"), _path("index", "integer", minimum=0))
SIZE = _query("size", "integer", minimum=1, maximum=4096)
PART = _query("part", "string", enum=["thinned", "minmax", "first"])

PATHS: dict[str, Schema] = {
    "/api/v1/snapshot": _get("All that the first page of a dashboard shows.", SNAPSHOT),
    "/api/v1/state": _get(
        "The state of the run: when it ends, at the latest after `wait` seconds; with a cursor, and what came after it.", STATE,
        (_query("wait", minimum=0, maximum=30), _query("after", "string")),
    ),
    "/api/v1/info": _get("Which session it is.", _body(("uuid", "created", "title"), uuid=TEXT, title=TEXT)),
    "/api/v1/variables": _get("Description and statistics of the logged variables.", _wrapped("variables", "object", OBJECT)),
    "/api/v1/parameters": _get("The parameters.", _wrapped("parameters", "object", OBJECT)),
    "/api/v1/metadata": _get("The metadata.", _wrapped("metadata", "object")),
    "/api/v1/runs": _get("The runs of the session.", _wrapped("runs", "array", OBJECT)),
    "/api/v1/figures": _get("The figures that were plotted.", _wrapped("figures", "array")),
    "/api/v1/tasks": _get("The tasks.", _wrapped("tasks", "array", OBJECT)),
    "/api/v1/alarms": _get("The alarms.", _wrapped("alarms", "array", OBJECT)),
    "/api/v1/events": _get(
        "The events later than a time.",
        {"type": "object", "required": ["events", "next"], "properties": {"events": {"type": "array", "items": EVENT}, "next": {"type": "number"}}},
        (_query("after"),),
    ),
    "/api/v1/data": _get(
        "Series: decimated, or raw in pages. `after` is the `next` of an earlier answer: what came since, each value once.",
        DATA,
        (NAMES, *WINDOW, _query("after", "string"), _query("points", "integer", minimum=1, maximum=10000),
         _query("agg", "string", enum=["minmax", "mean", "none"]), _query("tail", "integer", minimum=1, maximum=100000)),
    ),
    "/api/v1/datasets": _get("The datasets.", _wrapped("datasets", "object", OBJECT)),
    "/api/v1/datasets/{name}": _get("The times of a dataset's records.", _body(("name", "n", "times"), times={"type": "array"}), (_path("name"),)),
    "/api/v1/datasets/{name}/{index}.npy": _get("A record as numpy.save writes it.", None, (*RECORD, SIZE, PART), "application/octet-stream"),
    "/api/v1/datasets/{name}/{index}.png": _get("A record as image.", None, (*RECORD, SIZE, PART, _query("min"), _query("max")), "image/png"),
    "/api/v1/datasets/{name}/{index}.json": _get("A record as JSON.", OBJECT, (*RECORD, SIZE, PART)),
    "/api/v1/export.csv": _get("Series as CSV.", None, (NAMES, *WINDOW), "text/csv"),
    "/api/v1/session.h5": _get("A copy of the session as it is now.", None, (), "application/x-hdf5"),
    "/api/v1/live": _get("What is new, over a WebSocket.", None, (_query("after", "string"),)),
    "/api/v1/notes": _post("Record a remark.", _body(("text",), text={**TEXT, "minLength": 1, "maxLength": 10000}, source=TEXT), MADE),
    "/api/v1/parameters/{name}": _post("Change a tunable parameter; needs the control token.", _body(("value",), value={"type": ["number", "string", "boolean"]}), MADE, (_path("name"),)),
    "/api/v1/stop": _post("Ask the run to end; needs the control token.", _body((), reason=TEXT), MADE, needed=False),
    "/api/v1/openapi.json": _get("This description.", OBJECT),
    "/healthz": _get("Whether data come as they should.", _body(("status",), status=TEXT), public=True),
    "/metrics": _get("The session for Prometheus.", None, (), "text/plain"),
    "/login": _post("A token for a cookie.", _body(("token",), token=TEXT), _body(("role",), role=TEXT), (), "200", public=True),
    "/api/logged_last_values": _get("The last values, as pymanip gave them.", {"type": "array", "items": OBJECT}),
    "/api/server_current_ts": _get("The time of the session, as pymanip gave it.", _body(("now",), now={"type": "number"})),
    "/api/get_parameters": _get("The parameters, as pymanip gave them.", OBJECT),
    "/api/data_from_ts": _post(
        "The values of a variable after a time, as pymanip gave them.", _body(("name", "last_ts"), name=TEXT, last_ts={"type": "number"}),
        {"type": "array", "items": {"type": "array"}}, (), "200",
    ),
}  # fmt: skip


def description(version: str) -> dict[str, Any]:
    """Return the description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pymanip-run",
            "version": version or "0",
            "description": "A run, or a session, of pymanip-run. Times are Unix seconds; NaN and infinities are null.",
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
        "paths": PATHS,
    }
