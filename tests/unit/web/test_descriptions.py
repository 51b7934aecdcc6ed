"""The OpenAPI description is true, the metrics can be read, and no request is a fault of ours."""

import math
import re
import string

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymanip_run import AsyncSession
from pymanip_run.web.guard import Guard
from pymanip_run.web.openapi import PATHS, description
from pymanip_run.web.settings import Policy
from pymanip_run.web.tokens import Tokens


@pytest.fixture
def session():
    with AsyncSession(verbose=False) as sesn:
        sesn.describe("T", unit="K", period=1000)
        sesn.add_entry(T=1.0, P=math.nan)
        sesn.save_parameter(voltage=4)
        sesn.add_dataset(frame=np.eye(2))
        sesn.note("hello")
        yield sesn


def test_every_route_is_described_and_every_description_has_a_route(watched):
    from pymanip_run.web.app import Site

    site = Site(watched(), Guard(Tokens(Policy("none")), 6913), print)
    routes = set()
    for route in site.app.router.routes():
        path = route.resource.canonical
        if route.method == "HEAD":
            continue
        if "{kind" in path or path.endswith("}.{kind}"):
            routes |= {("get", path.replace("{kind}", kind)) for kind in ("npy", "png", "json")}
        else:
            routes.add((route.method.lower(), path))
    site.close()
    pages = {("get", p) for p in ("/", "/plot/{name}", "/favicon.ico", "/static/{name}")}
    described = {(method, path) for path, methods in PATHS.items() for method in methods}
    assert routes - pages == described


def conforms(schema, value, where=""):
    """The small part of JSON Schema that the description uses."""
    if "anyOf" in schema:
        assert any(does_conform(one, value) for one in schema["anyOf"]), where
        return
    kinds = schema.get("type")
    if kinds is not None:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        python = {
            "object": dict,
            "array": list,
            "string": str,
            "boolean": bool,
            "null": type(None),
            "integer": int,
        }
        assert any(
            isinstance(value, (int, float)) and not isinstance(value, bool)
            if kind == "number"
            else isinstance(value, python[kind])
            for kind in kinds
        ), f"{where}: {value!r} is no {kinds}"
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys(), where
        for key, one in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            conforms(inner, one, f"{where}.{key}")
    if isinstance(value, list):
        for number, one in enumerate(value):
            conforms(schema.get("items", {}), one, f"{where}[{number}]")


def does_conform(schema, value):
    try:
        conforms(schema, value)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("path", [p for p, methods in PATHS.items() if "get" in methods])
def test_the_answers_are_as_described(client, path):
    content = PATHS[path]["get"]["responses"]["200"]["content"]
    ((media, described),) = content.items()
    answer = client.get(path.replace("{name}", "frame").replace("{index}", "0"))
    if path in ("/api/v1/session.h5", "/api/v1/export.csv", "/api/v1/live"):
        assert answer.status in (404, 426)
        return
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith(media)
    if media == "application/json":
        conforms(described.get("schema", {}), answer.json, path)


def test_the_description_is_served(client):
    found = client.get("/api/v1/openapi.json").json
    assert found["openapi"].startswith("3.1")
    assert found["paths"].keys() == description("")["paths"].keys()
    assert client.get("/api/v1/openapi.json", token=False).status == 401


LINE = re.compile(r'[a-z_]+(\{([a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (NaN|[+-]Inf|[-+0-9.e]+)')


def test_the_metrics_are_prometheus_text(client, session):
    session.add_entry({'we"ird\\na': 2.0})
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    for line in lines:
        assert line.startswith("# ") or LINE.fullmatch(line), line
    assert 'pymanip_run_value{name="T",unit="K"} 1.0' in lines
    assert 'pymanip_run_value{name="P",unit=""} NaN' in lines
    assert client.get("/metrics", token=False).status == 401


WORDS = st.text(string.printable + "é\u202e\x00\ud7ff", max_size=40)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_asked_is_no_fault_of_ours(client, data):
    from urllib.parse import quote, urlencode

    path = data.draw(
        st.sampled_from([*PATHS, "/static/{name}", "/plot/{name}", "/{name}", "/api/v1/{name}"])
    )
    path = path.replace("{name}", quote(data.draw(WORDS), safe="")).replace(
        "{index}", data.draw(st.sampled_from(["0", "9", "-1", "9" * 12, "x"]))
    )
    keys = st.sampled_from(
        ["name", "since", "until", "after", "points", "agg", "tail", "size", "min", "max", "other"]
    )
    values = st.one_of(
        WORDS,
        st.sampled_from(["T", "P", "nan", "inf", "-inf", "1e999", "0", "-1", "minmax", "mean"]),
        st.integers().map(str),
        st.floats().map(str),
    )
    query = urlencode(data.draw(st.lists(st.tuples(keys, values), max_size=4)), errors="replace")
    method = data.draw(st.sampled_from(["GET", "GET", "POST", "HEAD", "PUT"]))
    json_values = st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
        lambda c: st.lists(c, max_size=3) | st.dictionaries(WORDS, c, max_size=3),
        max_leaves=6,
    )
    body = (
        data.draw(
            st.one_of(
                st.none(),
                st.dictionaries(
                    st.sampled_from(
                        ["text", "source", "value", "reason", "token", "name", "last_ts"]
                    ),
                    json_values,
                    max_size=4,
                ),
            )
        )
        if method == "POST"
        else None
    )
    if path == "/api/v1/state":
        query = ""
    answer = client.ask(method, f"{path}?{query}", body)
    assert answer.status < 500 or answer.status == 503, (method, path, query, body, answer.body)
