"""What differs between two sessions, as data."""

import json

from pymanip_run.core.view import SessionView
from pymanip_run.describe.difference import differences
from pymanip_run.storage.memory import MemoryStore

START = 1_763_800_000 * 10**9


def session(voltage=3.0, values=(1.0, 2.0, 3.0), texts=None, **more):
    store = MemoryStore("cell")
    store.put_parameter(START, "voltage", voltage, "V")
    store.put_parameter(START, "same", 7, None)
    store.put_metadata(START, "operator", "Anna")
    for i, value in enumerate(values):
        store.append_row(START + i * 10**9, ("T",), (value,))
    store.put_attributes(START, "T", {"unit": "degC"})
    for name, value in more.items():
        store.append_row(START + 10**10, (name,), (value,))
    attributes = {
        "start": START / 1e9,
        "stop": START / 1e9 + 5,
        "exit_code": 0,
        "exit_reason": "Ctrl-C",
    }
    store.put_run(START, 0, attributes | {"host": "labpc"}, texts or {})
    return SessionView(store, "s")


def compared(a, b, *names):
    found = differences(a, b, ("a.h5", "b.h5"), names)
    return json.loads(json.dumps(found, allow_nan=False))


def texts(voltage, commit="1" * 40, numpy="2.0"):
    return {
        "experiment": f"session: a\nparameters:\n  voltage: {voltage}\n",
        "packages": json.dumps({"python": "3.11", "numpy": numpy}),
        "git_commit": commit,
        "overrides": "",
        "module": "x = 1\n",
    }


def test_sessions_that_are_alike_have_no_difference():
    found = compared(session(texts=texts(3)), session(texts=texts(3)))
    assert found["configuration"] == {
        "experiment": [], "devices": [], "sweeps": [], "overrides": None, "command": None,
    }  # fmt: skip
    assert not any(found["code"].values())
    assert [found[key] for key in ("versions", "computer", "parameters", "metadata")] == [{}] * 4
    assert found["statistics"]["T"]["a"] == found["statistics"]["T"]["b"]


def test_each_part_says_what_is_different():
    new = texts(4, "2" * 40, "2.1") | {"overrides": "parameters.voltage=4", "module": "x = 2\n"}
    found = compared(session(texts=texts(3)), session(4.0, (2.0, 4.0), new, power=5.0))
    assert found["configuration"]["experiment"] == [
        "@@ -1,3 +1,3 @@",
        " session: a",
        " parameters:",
        "-  voltage: 3",
        "+  voltage: 4",
    ]
    assert found["configuration"]["overrides"] == [None, ["parameters.voltage=4"]]
    assert found["code"]["commit"] == ["1" * 40, "2" * 40]
    assert found["code"]["module"][1:] == ["-x = 1", "+x = 2"]
    assert found["versions"] == {"numpy": ["2.0", "2.1"]}
    assert found["parameters"] == {
        "voltage": [{"value": 3.0, "unit": "V"}, {"value": 4.0, "unit": "V"}]
    }
    assert found["statistics"]["T"]["a"]["mean"] == 2.0
    assert found["statistics"]["T"]["b"]["mean"] == 3.0
    assert found["statistics"]["T"]["b"]["std"] == 1.0
    assert found["statistics"]["power"]["a"] is None


def test_names_restrict_parameters_metadata_and_statistics():
    found = compared(session(), session(4.0, power=1.0), "power")
    assert (found["parameters"], found["metadata"]) == ({}, {})
    assert [*found["statistics"]] == ["power"]


def test_values_that_json_does_not_know_and_sessions_without_runs_are_compared_too():
    empty = SessionView(MemoryStore(), "e")
    found = compared(empty, session(float("nan"), (float("inf"),)))
    assert found["a"]["run"] is None
    assert found["b"]["run"] == 0
    assert found["parameters"]["voltage"] == [None, {"value": None, "unit": "V"}]
    assert found["statistics"]["T"]["b"]["mean"] is None


def test_very_long_texts_are_not_compared_line_by_line():
    long = {"module": "\n".join(map(str, range(20_000)))}
    found = compared(session(texts=long), session(texts={"module": "1"}))
    assert found["code"]["module"] == ["@@ 20000 and 1 lines, which differ @@"]


def test_texts_that_differ_in_how_their_lines_end_differ():
    found = compared(session(texts={"module": "a\n"}), session(texts={"module": "a"}))
    assert found["code"]["module"] == ["@@ only the ends of lines differ @@"]
