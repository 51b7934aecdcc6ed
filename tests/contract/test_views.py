"""One suite over every view: live, beside the run, over, saved, and remote, the answers are the same."""

import math
import re
from dataclasses import asdict

import numpy as np
import pytest

from pymanip_run import AsyncSession, RemoteObserver, SavedAsyncSession, access
from pymanip_run.session import internals
from pymanip_run.web.ports import listen
from pymanip_run.web.server import Server
from pymanip_run.web.settings import Policy, Watched

NASTY = "a/b ?#%é <i>"


def record(sesn):
    sesn.describe("T", unit="°C", label="Bottom plate", format=".3f", period=10.0)
    for i in range(300):
        sesn.add_entry(T=20 + i / 7, _internal=i)
        if i % 10 == 0:
            sesn.add_entry({NASTY: -i, "odd": [math.nan, math.inf, -math.inf, 1e-300][i // 10 % 4]})
    for i in range(4):
        sesn.add_dataset(frame=np.arange(6, dtype=np.uint16).reshape(2, 3) + i)
    sesn.add_dataset({NASTY: np.array([1.5, np.nan]), "text": "hello", "wave": np.array([1 + 2j])})
    sesn.add_dataset(note={"a": [1, 2.5, None, "x"]}, _hidden=[1])
    sesn.save_parameter(power=12.5, mode="slow", on=True, n=3, bad=math.inf, _secret=1)
    sesn.save_metadata(operator="Ann", setup={"gain": [1, 2]}, empty=[])
    sesn.note("stirrer on", source="night shift")
    sesn.save_parameter(power=13.5)
    internals(sesn).recorder.begin_run({"host": "labpc", "user": "ann", "pid": 7}, {"argv": "[]"})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A configuration folder for all of the module: its token is asked for more than once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield access.user_token()


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with AsyncSession(tmp_path_factory.mktemp("views") / "cell", verbose=False) as sesn:
        record(sesn)
        yield sesn


def beside(live):
    with SavedAsyncSession(live.session_path, verbose=False) as view:
        yield view


def copied(live, folder):
    """What a closed run left."""
    from pymanip_run.storage.copying import copy_session

    copy_session(live.session_path, folder / "copy.h5")
    with SavedAsyncSession(folder / "copy.h5", verbose=False) as view:
        yield view


def remote(watched, token):
    server = Server(watched, listen(port=0), Policy())
    server.start()
    server.wait_until_ready()
    try:
        with RemoteObserver("127.0.0.1", server.port, token=token) as view:
            yield view
    finally:
        server.close()


def remote_of_a_run(live, token):
    inside = internals(live)
    with SavedAsyncSession(live.session_path, verbose=False) as reader:
        known = {
            "feed": inside.feed,
            "now": inside.recorder.now,
            "position": inside.recorder.position,
        }
        yield from remote(Watched(live, "x", reader=reader, **known), token)


def remote_of_a_saved_session(live, token):
    with SavedAsyncSession(live.session_path, verbose=False) as saved:
        yield from remote(Watched(saved, "x"), token)


@pytest.fixture(
    scope="module", params=["live", "beside", "copied", "remote", "remote of a saved session"]
)
def view(request, live, home, tmp_path_factory):
    yield from {
        "live": lambda: iter([live]), "beside": lambda: beside(live),
        "copied": lambda: copied(live, tmp_path_factory.mktemp("copied")),
        "remote": lambda: remote_of_a_run(live, home),
        "remote of a saved session": lambda: remote_of_a_saved_session(live, home),
    }[request.param]()  # fmt: skip


def same(found, wanted):
    """Tell whether two answers are the same, in types and in what is not finite, too."""
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            same(found[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, float) and math.isnan(wanted):
        assert math.isnan(found)
    else:
        assert type(found) is type(wanted)
        assert found == wanted


NAMES = ["T", NASTY, "odd"]
READS = {
    "logged_variables": lambda v: v.logged_variables(),
    "iteration": sorted,
    "completions": lambda v: sorted(v._ipython_key_completions_()),
    "contains": lambda v: ["T" in v, NASTY in v, "t" in v, 5 in v],
    "times": lambda v: (v.t0, v.initial_timestamp, v.last_timestamp, v.get_version()),
    "identity": lambda v: (v.info().uuid, v.info().created, v.info().title, v.info().format_version),
    "series": lambda v: {n: tuple(v[n]) for n in NAMES},
    "sizes": lambda v: {n: (v[n].size, v[n].unit, len(v[n])) for n in NAMES},
    "last": lambda v: {n: v[n].last for n in NAMES},
    "tails": lambda v: {(n, k): tuple(v[n].tail(k)) for n in NAMES for k in (0, 1, 7, 10_000)},
    "logged_data": lambda v: {n: tuple(s) for n, s in v.logged_data().items()},
    "first_values": lambda v: v.logged_first_values(),
    "last_values": lambda v: v.logged_last_values(),
    "dataset_names": lambda v: v.dataset_names(),
    "datasets_info": lambda v: v.datasets_info(),
    "datasets": lambda v: {n: list(v.datasets(n)) for n in sorted(v.dataset_names())},
    "dataset_times": lambda v: v.dataset_times("frame"),
    "dataset": lambda v: [v.dataset("frame"), v.dataset("frame", n=0), v.dataset("frame", n=-2),
                          v.dataset("frame", ts=v.dataset_times("frame")[2])],
    "dataset_last_data": lambda v: v.dataset_last_data("frame"),
    "parameters": lambda v: v.parameters(),
    "parameter": lambda v: [v.parameter("power"), v.parameter("bad"), v.parameter("no")],
    "parameter_table": lambda v: v.parameter_table(),
    "has_parameter": lambda v: [v.has_parameter("on"), v.has_parameter("no")],
    "metadatas": lambda v: v.metadatas(),
    "metadata": lambda v: [v.metadata("operator"), v.metadata("setup"), v.metadata("no")],
    "has_metadata": lambda v: [v.has_metadata("setup"), v.has_metadata("no")],
    "events": lambda v: v.events(),
    "runs": lambda v: v.runs(),
    "figures": lambda v: v.figures(),
    "variables": lambda v: {n: asdict(one) for n, one in v.variables().items()},
    "decimated": lambda v: {p: tuple(v.decimated("T", points=p)) for p in (1, 10, 1000)},
    "html": lambda v: "T" in v._repr_html_(),
}  # fmt: skip


@pytest.mark.parametrize("read", READS)
def test_every_view_gives_the_same_answer(view, live, read):
    same(READS[read](view), READS[read](live))


def test_windows_in_time_are_cut_alike(view, live):
    times = live["T"].timestamps
    for low, high in [(0, 299), (5, 6), (10, 10), (250, 299)]:
        a, b = times[low], times[high]
        same(tuple(view["T"].since(a)), tuple(live["T"].since(a)))
        same(tuple(view["T"].between(a, b)), tuple(live["T"].between(a, b)))
        same(
            tuple(view.logged_data_fromtimestamp("T", a)),
            tuple(live.logged_data_fromtimestamp("T", a)),
        )
        same(tuple(view.decimated("T", a, b, 10)), tuple(live.decimated("T", a, b, 10)))
    same(view.events(after=live.events()[0].time), live.events(after=live.events()[0].time))


@pytest.mark.parametrize(("call", "words"), [
    (lambda v: v["t"], "did you mean 'T'"), (lambda v: v.logged_variable("t"), "did you mean 'T'"),
    (lambda v: v.dataset("fram"), "did you mean 'frame'"), (lambda v: list(v.datasets("nothing")), "no dataset"),
    (lambda v: v.dataset_times("nothing"), "no dataset"),
])  # fmt: skip
def test_a_missing_name_is_told_with_the_nearest(view, live, call, words):
    with pytest.raises(KeyError, match=words):
        call(view)


@pytest.mark.parametrize("n", [4, -5, 99])
def test_a_record_that_is_not_there_is_told(view, n):
    with pytest.raises(IndexError, match=re.escape("4 records")):
        view.dataset("frame", n=n)


def test_tables_are_the_same(view, live):
    pandas = pytest.importorskip("pandas")
    pandas.testing.assert_frame_equal(view.to_dataframe("T", "odd"), live.to_dataframe("T", "odd"))


def test_arrays_of_xarray_and_dask_are_the_same(view, live):
    pytest.importorskip("dask.array")
    xarray = pytest.importorskip("xarray")
    xarray.testing.assert_identical(view.to_xarray("T", "odd"), live.to_xarray("T", "odd"))
    xarray.testing.assert_identical(view.to_xarray("frame"), live.to_xarray("frame"))
    chunked = view.to_xarray(NASTY, "odd", chunks=7)
    assert chunked["odd"].chunks is not None
    xarray.testing.assert_identical(chunked.compute(), live.to_xarray(NASTY, "odd", chunks=7).compute())  # fmt: skip
    for name in ("T", "odd", "frame"):
        same(*(tuple(np.asarray(a) for a in v.to_dask(name, chunks=40)) for v in (view, live)))


def test_series_are_drawn_alike(view, live):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    lines = [
        [line.get_xydata() for line in v["T"].tail(50).plot().get_lines()] for v in (view, live)
    ]
    same(*lines)
    pyplot.close("all")
