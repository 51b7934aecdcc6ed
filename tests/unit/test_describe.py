import json
import math

import numpy as np
import pytest

from pymanip_run.core.feed import Feed
from pymanip_run.core.recorder import Recorder
from pymanip_run.core.view import SessionView
from pymanip_run.describe import describe
from pymanip_run.storage.memory import MemoryStore


@pytest.fixture
def recorder():
    return Recorder(MemoryStore("test"), Feed())


def view(recorder):
    return SessionView(recorder._store, "test")


def strictly(summary):
    return json.loads(json.dumps(summary, allow_nan=False))


def test_a_summary_has_the_promised_shape(recorder):
    begin = recorder.begin_run({}, {})
    recorder.describe("T", unit="°C")
    for value in (1.0, 3.0, 2.0):
        recorder.add_entry(T=value, _point_scan=0)
    recorder.save_parameter(voltage=4.0)
    recorder.save_metadata(operator="Anna")
    recorder.add_dataset(frame=np.zeros((4, 5), np.uint16))
    recorder.note("refilled")
    recorder.end_run(0, "Ctrl-C")
    summary = strictly(describe(view(recorder), "a.h5"))
    assert {"file", "format_version", "created", "runs", "variables", "parameters", "metadata", "datasets",
            "events", "checkpointed", "healthy"} <= set(summary)  # fmt: skip
    assert summary["file"] == "a.h5"
    assert summary["runs"][0].keys() == {"start", "stop", "exit_code", "exit_reason"}
    assert (summary["runs"][0]["start"], summary["runs"][0]["exit_reason"]) == (begin, "Ctrl-C")
    assert list(summary["variables"]) == ["T"]
    known = summary["variables"]["T"]
    assert known.keys() == {"unit", "n", "first", "last", "min", "max", "mean"}
    assert (known["unit"], known["n"], known["min"], known["max"], known["mean"]) == (
        "°C",
        3,
        1,
        3,
        2,
    )
    assert (known["first"][1], known["last"][1]) == (1.0, 2.0)
    assert known["first"][0] < known["last"][0]
    assert summary["parameters"] == {"voltage": 4.0}
    assert summary["metadata"] == {"operator": "Anna"}
    assert summary["datasets"] == {
        "frame": {"n": 1, "shape": [4, 5], "dtype": "uint16", "bytes": 40}
    }
    assert [e["text"] for e in summary["events"] if e["kind"] == "note"] == ["refilled"]
    assert summary["healthy"] is True


def test_what_is_not_finite_is_null(recorder):
    recorder.add_entry(T=math.nan, p=math.inf)
    recorder.save_parameter(limit=math.inf)
    recorder.save_metadata(table={"a": [1.0, math.nan]})
    summary = strictly(describe(view(recorder), None))
    assert summary["variables"]["T"]["last"][1] is None
    assert summary["variables"]["T"]["mean"] is None
    assert summary["parameters"] == {"limit": None}
    assert summary["metadata"] == {"table": {"a": [1.0, None]}}


def test_a_described_variable_without_values_has_no_first_value(recorder):
    recorder.describe("T", unit="K")
    known = strictly(describe(view(recorder), None))["variables"].get("T")
    assert known is None or (known["n"], known["first"], known["last"]) == (0, None, None)


def test_names_restrict_and_reach_internal_ones(recorder):
    recorder.add_entry(T=1, p=2)
    recorder.save_parameter(voltage=4)
    summary = describe(view(recorder), None, ["p"])
    assert list(summary["variables"]) == ["p"]
    assert summary["parameters"] == {}


def test_a_loss_makes_a_session_unhealthy(recorder):
    recorder.event("damage", "storage", "12 bytes could not be read")
    assert describe(view(recorder), None)["healthy"] is False


def test_an_empty_session_is_described_too(recorder):
    assert strictly(describe(view(recorder), None))["variables"] == {}
