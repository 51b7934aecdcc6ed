"""The JSON API, route by route, against the session that it shows."""

import contextlib
import gzip
import json
import math
import struct
import time
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from pymanip_run import AsyncSession, SavedAsyncSession
from pymanip_run.web.settings import Policy


@pytest.fixture
def session(request, tmp_path):
    """In a file, or in memory: what is seen is the same."""
    name = tmp_path / "cell" if getattr(request, "param", "memory") == "file" else None
    with AsyncSession(name, verbose=False) as sesn:
        yield sesn


both = pytest.mark.parametrize("session", ["memory", "file"], indirect=True)


def test_the_snapshot_has_what_the_first_page_shows(client, session):
    session.describe("T", unit="K", label="temperature", format=".3f", period=10)
    session.add_entry(T=293.15)
    session.save_parameter(voltage=4)
    session.note("refilled nitrogen", source="night shift")
    time.sleep(0.3)  # longer than what is known may be old
    shown = client.get("/api/v1/snapshot").json
    assert shown["title"] == "Rayleigh-Bénard cell"
    assert shown["values"]["T"] | {"t": 0, "age": 0} == {
        "t": 0, "age": 0, "value": 293.15, "unit": "K", "label": "temperature", "format": ".3f",
        "stale": False, "stale_after": 30.0, "alarm": None,
    }  # fmt: skip
    assert shown["values"]["T"]["t"] == session["T"].timestamps[0]
    assert shown["parameters"]["voltage"]["value"] == 4
    assert shown["events"][-1]["text"] == "refilled nitrogen"
    assert {
        "now",
        "elapsed",
        "remaining",
        "tasks",
        "sweeps",
        "alarms",
        "plots",
        "state",
    } <= shown.keys()


def test_a_value_older_than_three_periods_is_stale(client, session):
    session.describe("T", period=0.1)
    session.add_entry(T=1.0)
    assert client.get("/api/v1/snapshot").json["values"]["T"]["stale"] is False
    deadline = time.monotonic() + 10
    while not client.get("/api/v1/snapshot").json["values"]["T"]["stale"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.get("/healthz", token=False).status == 503
    assert client.get("/healthz", token=False).json == {"status": "stale"}
    session.add_entry(T=1.0)
    assert client.get("/healthz", token=False).json == {"status": "ok"}


def test_health_tells_no_names(client, session):
    session.describe("secret_name", period=100)
    session.add_entry(secret_name=1.0)
    assert b"secret" not in client.get("/healthz", token=False).body


@pytest.mark.parametrize(
    ("value", "word"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_what_is_not_finite_is_null_and_said_beside(client, session, value, word):
    session.add_entry(T=1.0)
    session.add_entry(T=value)
    shown = client.get("/api/v1/snapshot").json
    assert shown["values"]["T"]["value"] is None
    assert shown["nonfinite"] == [["T", word]]
    series = client.get("/api/v1/data?name=T").json
    assert series["series"]["T"]["v"] == [1.0, None]
    assert series["nonfinite"] == {"T": [[1, word]]}
    assert client.get("/api/v1/variables").json["variables"]["T"]["last"][1] is None
    assert client.get("/api/logged_last_values").json[0]["value"] is None


@both
def test_the_variables_have_description_and_statistics(client, session):
    session.describe("T", unit="K", label="temperature")
    for value in (3.0, 1.0, 2.0):
        session.add_entry(T=value, _internal=0.0)
    found = client.get("/api/v1/variables").json["variables"]
    assert set(found) == {"T"}
    times = session["T"].timestamps
    wanted = {
        "unit": "K",
        "label": "temperature",
        "n": 3,
        "first": [times[0], 3.0],
        "last": [times[2], 2.0],
        "min": 1.0,
        "max": 3.0,
    }
    assert found["T"].items() >= wanted.items()


@both
def test_parameters_metadata_runs_and_events(client, session):
    session.save_parameter(voltage=4.5, on=True, name="<script>")
    session.save_metadata(cell={"height": math.inf, "walls": ["glass", None]}, note="é")
    session.note("one")
    found = client.get("/api/v1/parameters").json["parameters"]
    assert {name: one["value"] for name, one in found.items()} == {
        "voltage": 4.5,
        "on": True,
        "name": "<script>",
    }
    assert client.get("/api/v1/metadata").json["metadata"] == {
        "cell": {"height": None, "walls": ["glass", None]},
        "note": "é",
    }
    assert client.get("/api/v1/runs").json == {"runs": []}
    assert client.get("/api/v1/figures").json == {"figures": []}
    events = client.get("/api/v1/events").json
    assert [e["text"] for e in events["events"]] == ["one"]
    session.note("two")
    later = client.get(f"/api/v1/events?after={events['next']}").json
    assert [e["text"] for e in later["events"]] == ["two"]


def test_what_was_just_recorded_is_there(client, session):
    for number in range(20):
        session.add_entry(T=number)
        time.sleep(0.01)
        assert client.get("/api/v1/snapshot").json["values"]["T"]["value"] == number


# -- series -------------------------------------------------------------------------------------


@both
def test_raw_series_are_exact(client, session):
    rng = np.random.default_rng(1)
    for value in rng.normal(size=100):
        session.add_entry(a=value)
    session.add_entry(b=1e-300)
    found = client.get("/api/v1/data?name=a&name=b").json
    assert found["series"]["a"]["t"] == session["a"].timestamps.tolist()
    assert found["series"]["a"]["v"] == session["a"].values.tolist()
    assert found["series"]["b"]["v"] == [1e-300]
    assert found["more"] is False


@both
def test_since_and_until_cut_the_series(client, session):
    for value in range(10):
        session.add_entry(T=value)
    t = session["T"].timestamps.tolist()
    assert client.get(f"/api/v1/data?name=T&since={t[3]!r}&until={t[6]!r}").json["series"]["T"][
        "v"
    ] == [3, 4, 5]
    assert client.get(f"/api/v1/data?name=T&since={t[9] + 5!r}").json["series"] == {}
    mean = client.get(f"/api/v1/data?name=T&since={t[3]!r}&until={t[6]!r}&agg=mean&points=1").json
    assert mean["series"]["T"] == {"t": [t[3]], "v": [4.0]}


@both
def test_the_envelope_keeps_every_extreme(client, session):
    values = np.sin(np.arange(5000) / 100)
    values[1234], values[4321] = 99.0, -99.0
    for value in values:
        session.add_entry(T=value)
    found = client.get("/api/v1/data?name=T&agg=minmax&points=100").json["series"]["T"]
    assert 50 <= len(found["t"]) <= 100
    assert (max(found["max"]), min(found["min"])) == (99.0, -99.0)
    assert found["t"] == sorted(found["t"])


def test_an_envelope_of_what_is_not_finite_has_gaps(client, session):
    for number in range(4000):
        session.add_entry(T=math.nan if 1000 <= number < 3000 else 1.0)
    found = client.get("/api/v1/data?name=T&agg=minmax&points=40").json
    series = found["series"]["T"]
    assert None in series["min"]
    assert series["min"][0] == series["max"][-1] == 1.0
    assert {i for i, word in found["nonfinite"]["T"]} == {
        i for i, v in enumerate(series["min"]) if v is None
    }


@both
def test_a_cursor_brings_what_is_new_and_nothing_twice(client, session):
    session.add_entry(T=0.0)
    cursor = client.get("/api/v1/data").json["next"]
    seen = []
    for number in range(1, 30):
        session.add_entry(T=float(number))
        if number % 3 == 0:
            session.add_entry(late=number)
        if number % 5 == 0:
            found = client.get(f"/api/v1/data?after={cursor}").json
            seen += found["series"].get("T", {"v": []})["v"]
            cursor = found["next"]
            assert client.get(f"/api/v1/data?after={cursor}").json["series"] == {}
    seen += client.get(f"/api/v1/data?after={cursor}&name=T").json["series"]["T"]["v"]
    assert seen == [float(number) for number in range(1, 30)]


def test_an_envelope_of_many_variables_is_no_longer_than_a_page(client, session, monkeypatch):
    from pymanip_run.web import api

    monkeypatch.setattr(api, "PAGE", 1000)
    for number in range(2000):
        session.add_entry({f"v{i}": float(number) for i in range(10)})
    for agg, key in (("minmax", "max"), ("mean", "v")):
        series = client.get(f"/api/v1/data?agg={agg}&points=10000").json["series"]
        assert len(series) == 10
        assert sum(len(one[key]) for one in series.values()) <= 1000, agg


def test_large_series_come_in_pages(client, session, monkeypatch):
    from pymanip_run.web import history

    monkeypatch.setattr(history, "LEAST", 10)
    for name in ("a", "b", "c"):
        for number in range(700):
            session.add_entry({name: float(number), "all": 1.0})
    whole = {name: session[name].values.tolist() for name in ("a", "b", "c", "all")}
    view = session
    found = {name: [] for name in whole}
    since, pages = -math.inf, 0
    while True:
        page, end = history.raw_page(view, list(whole), since, math.inf, limit=100)
        for name, series in page["series"].items():
            found[name] += series["v"].tolist()
        assert sum(len(s["v"]) for s in page["series"].values()) <= 100
        pages += 1
        if end is None:
            break
        since = history.seconds(end)
    assert found == whole
    assert pages >= 42


@both
def test_a_session_that_is_over_is_served_the_same(serve, session, tmp_path):
    for number in range(50):
        session.add_entry(T=float(number))
    if session.session_path is None:
        return
    with SavedAsyncSession(session.session_path, verbose=False) as saved:
        client = serve(view=saved, feed=None, now=None, position=None, note=None)
        first = client.get("/api/v1/data").json
        assert len(first["series"]["T"]["v"]) == 50
        session.add_entry(T=50.0)
        found = client.get(f"/api/v1/data?after={first['next']}").json
        assert found["series"]["T"]["v"] == [50.0]
        assert client.get("/api/v1/snapshot").json["state"] == "saved"
        assert client.post("/api/v1/notes", {"text": "x"}).error == "not_running"


@pytest.mark.parametrize("query", [
    "after=x", "after=", "after=..", "points=0", "points=x", "points=1e9", "since=x", "until=nan", "agg=median", "name=nothing",
    "after=00000000.1", "agg=mean&after=00000000.1", "name=" + "a" * 5000, "since=1e400&until=-1e400", "points=-1", "since=inf",
])  # fmt: skip
def test_a_bad_question_is_answered_with_what_is_wrong(client, session, query):
    session.add_entry(T=1.0)
    answer = client.get(f"/api/v1/data?{query}")
    assert answer.status in (200, 400, 404, 410)
    if answer.status != 200:
        assert answer.error


def test_a_cursor_of_another_session_is_told_so(client, session):
    session.add_entry(T=1.0)
    answer = client.get("/api/v1/data?after=01234567.660e2358a11ee")
    assert (answer.status, answer.error) == (410, "other_session")


def test_a_misspelled_name_is_answered_with_the_nearest(client, session):
    session.add_entry(T_bottom=1.0)
    answer = client.get("/api/v1/data?name=T_botom")
    assert answer.status == 404
    assert "T_bottom" in answer.json["error"]["hint"]


# -- datasets and files -------------------------------------------------------------------------


@both
def test_records_of_datasets(client, session):
    image = np.arange(600, dtype=np.uint16).reshape(20, 30)
    session.add_dataset(frame=image)
    session.add_dataset(frame=image + 1, text="hello", spectrum=np.array([1.0, math.nan]))
    found = client.get("/api/v1/datasets").json["datasets"]
    assert found["frame"]["n"] == 2
    assert found["frame"]["shape"] == [20, 30]
    answer = client.get("/api/v1/datasets/frame/1.npy")
    assert np.array_equal(np.load(BytesIO(answer.body)), image + 1)
    assert float(answer.headers["X-Timestamp"]) == session.dataset_times("frame")[1]
    assert client.get("/api/v1/datasets/frame/0.json").json["value"] == image.tolist()
    assert client.get("/api/v1/datasets/text/0.json").json["value"] == "hello"
    assert client.get("/api/v1/datasets/spectrum/0.json").json["value"] == [1.0, None]
    assert np.load(BytesIO(client.get("/api/v1/datasets/frame/0.npy?size=10").body)).shape == (
        10,
        10,
    )
    for path in (
        "frame/2.npy",
        "frame/99999999999.json",
        "nothing/0.npy",
        "frame/-1.npy",
        "frame/x.npy",
        "frame/0.exe",
    ):
        assert client.get(f"/api/v1/datasets/{path}").status == 404
    assert client.get("/api/v1/datasets/text/0.png").status == 415


@both
def test_a_long_line_keeps_its_extremes_and_its_beginning(client, session):
    line = np.sin(np.arange(10_007) / 50)
    line[4321], line[777], line[5000:5100] = 9.0, -7.0, math.nan
    session.add_dataset(line=line, image=np.arange(30_000.0).reshape(10, 3000))
    ends = np.load(BytesIO(client.get("/api/v1/datasets/line/0.npy?size=600&part=minmax").body))
    assert ends.shape == (1, 600, 2)
    assert (np.nanmin(ends), np.nanmax(ends)) == (-7.0, 9.0)
    assert np.isnan(ends).all(axis=2).sum() >= 4, "a gap stays one"
    answer = client.get("/api/v1/datasets/line/0.npy?size=50&part=first")
    assert np.array_equal(np.load(BytesIO(answer.body)), line[:50])
    assert answer.headers["X-Shape"] == "10007"
    ends = np.load(BytesIO(client.get("/api/v1/datasets/image/0.npy?size=600&part=minmax").body))
    assert ends.shape == (8, 600, 2)
    assert ends[1, 0].tolist() == [3000.0, 3004.0]
    first = client.get("/api/v1/datasets/image/0.json?size=20&part=first").json
    assert np.shape(first["value"]) == (10, 20)
    assert first["shape"] == [10, 3000]
    assert client.get("/api/v1/datasets/line/0.npy?size=9&part=some").error == "bad_value"


def test_the_times_of_many_records_are_written_beside_the_tasks(client, session):
    for number in range(2000):
        session.add_dataset(many=number)
    answer = client.get("/api/v1/datasets/many", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip", (
        "long answers are written in a thread, and packed"
    )
    times = json.loads(gzip.decompress(answer.body))["times"]
    assert times == session.dataset_times("many").tolist()


def test_a_png_is_one(client, session):
    session.add_dataset(
        frame=np.array([[0.0, 50.0], [100.0, math.nan]]), rgb=np.full((2, 3, 3), 7, np.uint8)
    )
    for name, kind, rows in (
        ("frame", 0, [b"\x00\x00\x7f", b"\x00\xff\x00"]),
        ("rgb", 2, [b"\x00" + b"\x07" * 9] * 2),
    ):
        body = client.get(f"/api/v1/datasets/{name}/0.png").body
        assert body.startswith(b"\x89PNG\r\n\x1a\n")
        chunks = {}
        rest = body[8:]
        while rest:
            (length,) = struct.unpack(">I", rest[:4])
            chunks[rest[4:8]] = rest[8 : 8 + length]
            assert (
                zlib.crc32(rest[4 : 8 + length])
                == struct.unpack(">I", rest[8 + length : 12 + length])[0]
            )
            rest = rest[12 + length :]
        assert chunks[b"IHDR"][9] == kind
        assert zlib.decompress(chunks[b"IDAT"]) == b"".join(rows)


@both
def test_the_series_as_csv(serve, session):
    from pymanip_run.session.serving import write_series

    client = serve(write_csv=lambda *args: write_series(session, *args))
    session.describe("T", unit="K")
    for number in range(3000):
        session.add_entry(T=number, P=1.5)
    answer = client.get("/api/v1/export.csv?name=T")
    lines = answer.body.decode().splitlines()
    assert lines[0] == "time,T [K]"
    assert len(lines) == 3001
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/api/v1/export.csv?name=nothing").error == "no_such_variable"


@pytest.mark.parametrize("session", ["file"], indirect=True)
def test_the_session_as_a_file_is_whole(serve, session, tmp_path):
    from pymanip_run.storage.copying import copy_session

    path = session.session_path
    client = serve(copy_session=lambda target: copy_session(path, target))
    for number in range(500):
        session.add_entry(T=number)
    session.add_dataset(frame=np.zeros((3, 3)))
    answer = client.get("/api/v1/session.h5")
    assert answer.status == 200
    (tmp_path / "copy.h5").write_bytes(answer.body)
    with SavedAsyncSession(tmp_path / "copy.h5", verbose=False) as copy:
        assert copy["T"].values.tolist() == list(range(500))
        assert copy.dataset_names() == {"frame"}
    session.add_entry(T=500)
    assert session["T"].size == 501
    assert sorted(p.name for p in tmp_path.glob("copy*")) == ["copy.h5"]


def test_a_download_that_fails_half_way_is_cut_off_and_no_second_answer_is_written_into_it(
    serve, session, monkeypatch, caplog
):
    from pymanip_run.web import downloads

    monkeypatch.setattr(downloads, "BLOCK", 1000)

    def write(file, *_):
        file.write(b"time,T\n" * 1000)
        raise OSError("the disk is gone")

    client = serve(write_csv=write)
    with asking(client, "/api/v1/export.csv") as taker:
        found = rest_of(taker)
    assert found.startswith(b"HTTP/1.1 200")
    assert found.count(b"HTTP/1.1") == 1
    assert not found.endswith(b"\r\n0\r\n\r\n"), "that would be the end of a whole file"
    assert "the server failed at GET /api/v1/export.csv" in caplog.text
    assert client.get("/api/v1/runs").status == 200


def test_a_client_that_does_not_take_its_file_is_no_fault_of_the_server(
    serve, session, monkeypatch, caplog
):
    from pymanip_run.web import downloads

    monkeypatch.setattr(downloads, "STUCK_SECONDS", 0.3)
    client = serve(copy_session=lambda target: target.write_bytes(bytes(64 << 20)))
    before = descriptors()
    with asking(client, "/api/v1/session.h5") as taker:
        assert taker.recv(20).startswith(b"HTTP/1.1 200")
        deadline = time.monotonic() + 20
        while descriptors() > before + 1:  # our own; it takes nothing until the server's is closed
            assert time.monotonic() < deadline, "a client that takes nothing is waited for"
            time.sleep(0.05)
        found = rest_of(taker)
    assert len(found) < 64 << 20
    assert found.count(b"HTTP/1.1") == 0
    assert "the server failed" not in caplog.text


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.contextmanager
def asking(client, path):
    """A bare connection on which something has been asked."""
    token = client.server.tokens.link_token
    with client.connect() as taker:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}"
        taker.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        yield taker


def rest_of(taker):
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := taker.recv(1 << 20):
            parts.append(part)
    return b"".join(parts)


def test_a_session_in_memory_has_no_file_to_give(client):
    assert client.get("/api/v1/session.h5").error == "no_file"


# -- notes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": 5}, {"text": None}, {"text": ["x"]}, {"text": "x" * 10_001}, [], "x",
                                  {"text": "a", "source": 5}, {"text": "a", "source": "x" * 500}, "{", "null", '"x"'])  # fmt: skip
def test_a_bad_note_is_refused(client, session, body):
    answer = client.post("/api/v1/notes", body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert answer.error
    assert session.events() == []


def test_a_note_with_signs_of_all_kinds_is_kept(client, session):
    text = "\u0000<script>alert(1)</script>\n\u202e\U0001f9ea \ud800"
    body = json.dumps({"text": text})
    answer = client.post("/api/v1/notes", body, headers={"Content-Type": "application/json"})
    assert answer.status in (201, 400)
    if answer.status == 201:
        assert "<script>" in session.events()[0].text
        assert client.get("/api/v1/events").status == 200


# -- pymanip's routes ---------------------------------------------------------------------------


@both
def test_the_published_routes_have_their_published_shapes(client, session):
    session.save_parameter(voltage=4)
    for number in range(5):
        session.add_entry(T=float(number))
    last = client.get("/api/logged_last_values").json
    assert [(one["name"], one["value"]) for one in last] == [("T", 4.0)]
    assert isinstance(last[0]["datestr"], str)
    assert client.get("/api/get_parameters").json == {"voltage": 4}
    assert client.get("/api/server_current_ts").json["now"] >= session["T"].timestamps[-1]
    times = session["T"].timestamps.tolist()
    found = client.post("/api/data_from_ts", {"name": "T", "last_ts": times[2]}).json
    assert found == [[times[3], 3.0], [times[4], 4.0]], "last_ts is exclusive"
    assert client.post("/api/data_from_ts", {"name": "nothing", "last_ts": 0}).json == []
    assert client.post("/api/data_from_ts", {"name": "T", "last_ts": times[4]}).json == []
    for bad in (
        {},
        {"name": "T"},
        {"name": 5, "last_ts": 0},
        {"name": "T", "last_ts": "x"},
        {"name": "T", "last_ts": None},
        {"name": "T", "last_ts": 10**400},
    ):
        assert client.post("/api/data_from_ts", bad).status == 400
    assert client.get("/plot/T").status == 200


def test_every_route_refuses_other_methods(client):
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        answer = client.ask(
            method, "/api/v1/snapshot", headers={"Content-Type": "application/json"}
        )
        assert answer.status == 405
        assert answer.error == "method_not_allowed"
        assert "/api/v1/openapi.json" in answer.json["error"]["hint"]


def test_many_clients_have_one_body_made_for_them(serve, session, monkeypatch):
    from pymanip_run.web import summary

    made = []
    real = summary.snapshot
    monkeypatch.setattr(summary, "snapshot", lambda *a, **k: made.append(1) or real(*a, **k))
    client = serve(Policy("none"))
    session.add_entry(T=1.0)
    client.get("/api/v1/snapshot")
    time.sleep(0.3)
    client.get("/api/v1/snapshot")
    began, before = time.monotonic(), len(made)
    for _ in range(50):
        client.get("/api/v1/snapshot")
    allowed = 2 + (time.monotonic() - began) / 0.5 * 2
    assert len(made) - before <= allowed


@pytest.mark.parametrize("way", ["/api/v1/data?name=T", "/api/v1/data?agg=minmax", "published"])
def test_a_history_is_read_once_for_all_who_ask_and_anew_for_what_is_new(
    serve, session, monkeypatch, way
):
    from pymanip_run.web import api, published

    read = []
    for module, name in ((api, "raw_page"), (api, "decimated"), (published, "raw_page")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, real=real: read.append(1) or real(*args))
    client = serve()

    def ask():
        if way != "published":
            return client.get(way).body
        return client.post("/api/data_from_ts", {"name": "T", "last_ts": 0}).body

    session.add_entry(T=1.25)
    bodies = {ask() for _ in range(10)}
    assert len(bodies) == 1
    assert len(read) == 1
    session.add_entry(T=2.5)
    assert b"2.5" in ask(), "what was just recorded is there"
    assert len(read) == 2


def test_nobody_watching_costs_the_recorder_nothing(serve, session, monkeypatch):
    from pymanip_run.session import internals
    from pymanip_run.web import recent

    monkeypatch.setattr(recent, "UNWATCHED_SECONDS", 0.3)
    client = serve()
    assert not internals(session).feed.active
    client.get("/api/v1/snapshot")
    assert internals(session).feed.active
    deadline = time.monotonic() + 5
    while internals(session).feed.active:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    session.add_entry(T=1.0)
    assert client.get("/api/v1/snapshot").json["values"]["T"]["value"] == 1.0


@both
def test_state_with_a_cursor_brings_what_is_new(client, session):
    session.add_entry(T=0.0)
    first = client.get("/api/v1/snapshot").json["next"]
    session.add_entry(T=1.0)
    session.note("remark")
    found = client.get(f"/api/v1/state?after={first}").json
    assert found["series"]["T"]["v"] == [1.0]
    assert [event["text"] for event in found["events"]] == ["remark"]
    again = client.get(f"/api/v1/state?after={found['next']}").json
    assert (again["series"], again["events"]) == ({}, [])
    assert client.get("/api/v1/state?after=x").error == "bad_cursor"
    assert "series" not in client.get("/api/v1/state").json


@both
def test_numbers_that_json_does_not_have_are_named(client, session):
    session.save_parameter(gain=math.inf, offset=math.nan, fine=1.0)
    session.add_entry(T=math.inf)
    session.add_entry(T=math.nan)
    known = client.get("/api/v1/parameters").json["parameters"]
    assert {name: (one["value"], one.get("nonfinite")) for name, one in known.items()} == {
        "gain": (None, "inf"), "offset": (None, "nan"), "fine": (1.0, None),
    }  # fmt: skip
    variable = client.get("/api/v1/variables").json["variables"]["T"]
    assert variable["nonfinite"] == [["first", "inf"], ["last", "nan"]]


@pytest.mark.parametrize(("path", "hint"), [("state?wait=long", "wait=10"), ("datasets/a/0.png?size=big", "size=800"),
                                            ("datasets/a/0.png?min=low", "min=0.5"), ("events?after=now", "after=1795359617.5")])  # fmt: skip
def test_what_is_no_number_is_refused_with_an_example(client, path, hint):
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status, answer.error) == (400, "bad_value")
    assert answer.json["error"]["hint"] == f"for example {hint}"


def test_a_variable_that_is_called_as_a_question_is_no_answer_to_it(client, session):
    session.add_entry({"name=T": 1.0, "T": 2.0})
    asked = client.get("/api/v1/data?name=T", headers={"Accept-Encoding": "gzip"})
    assert asked.json["series"]["T"]["v"] == [2.0]
    body = {"name": "name=T", "last_ts": math.nextafter(1.0, 0.0)}
    pairs = client.post("/api/data_from_ts", body).json
    assert [value for _, value in pairs] == [1.0]


@both
def test_a_question_for_the_head_alone_gets_no_body(client, session):
    session.add_entry(T=1.0)
    token = client.server.tokens.link_token
    for path in ("export.csv", "session.h5"):
        with client.connect() as one:
            one.sendall(f"HEAD /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                        "Connection: close\r\n\r\n".encode())  # fmt: skip
            answer = b"".join(iter(lambda: one.recv(1 << 16), b""))
        assert answer.startswith(b"HTTP/1.1 "), answer
        assert answer.partition(b"\r\n\r\n")[2] == b""


def test_a_long_history_is_compressed_for_those_who_understand_it(client, session):
    import gzip

    for number in range(5000):
        session.add_entry(T=number)
    plain = client.get("/api/v1/data?name=T")
    packed = client.get("/api/v1/data?name=T", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3
    assert plain.json["series"]["T"]["v"] == list(range(5000))


def test_a_run_with_simulated_devices_says_which(client, session):
    from pymanip_run.session import internals

    assert client.get("/api/v1/snapshot").json["simulated"] is None
    internals(session).recorder.begin_run({}, {"simulated": "supply, thermo"})
    deadline = time.monotonic() + 5
    while client.get("/api/v1/snapshot").json["simulated"] != "supply, thermo":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.get("/api/v1/runs").json["runs"][-1]["texts"] == {"simulated": "supply, thermo"}
