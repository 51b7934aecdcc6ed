"""What `sesn.plot` is called with, and what becomes of it."""

import asyncio
import json
import math

import pytest

from pymanip_run import AsyncSession, SavedAsyncSession
from pymanip_run.errors import UsageError
from pymanip_run.plotting.plot import Plot, check_backend, plot_of_call, shown_again
from pymanip_run.session import internals
from pymanip_run.session.serving import ServerOptions, saved, watched


def called(varnames=None, maxvalues=1000, yscale=None, **options):
    options = dict.fromkeys(("x", "y", "fixed_ylim", "fixed_xlim")) | options
    return plot_of_call(varnames, maxvalues, yscale, **options)


@pytest.mark.parametrize("names", ["T", ["T"], ("T",), ["T", "T"], iter(["T"])])
def test_variables_are_one_name_or_several_each_once(names):
    assert called(names).variables == ("T",)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, 'plot(x="V", y="I")'),
        ({"varnames": []}, "at least one variable"),
        ({"varnames": "T", "x": "V", "y": "I"}, "either variables"),
        ({"varnames": "T", "maxvalues": 0}, "maxvalues is a number of values above 0, not 0"),
        ({"varnames": "T", "maxvalues": 1.5}, "maxvalues"),
        ({"varnames": "T", "maxvalues": True}, "maxvalues"),
        ({"varnames": "T", "yscale": "logg"}, "did you mean 'log'"),
        ({"varnames": "T", "fixed_ylim": (1, 0)}, "the lower one first"),
        ({"varnames": "T", "fixed_ylim": (0, float("nan"))}, "pair of numbers"),
        ({"varnames": "T", "fixed_ylim": 5}, "pair of numbers"),
        ({"varnames": "T", "fixed_ylim": (1, 2, 3)}, "pair of numbers"),
        ({"varnames": "T", "yscale": "log", "fixed_ylim": (0, 1)}, "begins above 0"),
    ],
)
def test_what_contradicts_itself_is_refused_with_what_would_do(parameters, message):
    with pytest.raises(UsageError) as refusal:
        called(**parameters)
    assert message in str(refusal.value)


@pytest.mark.parametrize("names", [5, [5], [None]])
def test_a_name_that_is_no_text_is_refused(names):
    with pytest.raises(TypeError):
        called(names)


def test_x_without_y_is_refused_as_pymanip_does():
    with pytest.raises(TypeError, match="x and y should be strings"):
        called(x="V")


def test_a_pair_as_yscale_is_what_the_axis_shows():
    # The documentation of pymanip calls it so.
    assert called("T", yscale=(0, 5)).ylim == (0.0, 5.0)
    assert called("T", yscale=(0, 5)).scale == "linear"


def test_fixed_xlim_is_left_out_over_time_and_that_is_said(caplog):
    assert called("T", fixed_xlim=(0, 1)).xlim is None
    assert "fixed_xlim" in caplog.text
    assert called(x="V", y="I", fixed_xlim=(0, 1)).xlim == (0.0, 1.0)


def test_the_programs_that_pymanip_draws_with_are_accepted():
    assert [check_backend(b) for b in (None, "python", "manip", "QtAgg")] == [
        None,
        None,
        None,
        "QtAgg",
    ]
    with pytest.raises(TypeError):
        check_backend(5)


@pytest.mark.parametrize(
    "plot",
    [
        Plot(("a", "b"), title="Both", scale="log", window=60.0, ylim=(0.1, 2.0)),
        Plot(x="a", y="b", xlim=(0.0, 1.0)),
        Plot(("a",), maxvalues=7),
    ],
)
def test_a_plot_goes_through_json(plot):
    assert Plot.from_json(json.loads(json.dumps(plot.as_json()))) == plot


def test_headings_say_what_is_drawn_and_are_not_endless():
    assert Plot(("a", "b")).heading == "a, b"
    assert Plot(x="V", y="I").heading == "I over V"
    assert Plot(("a",), title="Response").heading == "Response"
    assert Plot(tuple(f"v{i}" for i in range(100))).heading == "v0, v1, v2, v3, v4 and 95 more"


def test_a_session_keeps_what_was_plotted_each_plot_once(tmp_path):
    def run(*plots):
        with AsyncSession(tmp_path / "a", verbose=False) as sesn:

            async def log(sesn):
                sesn.add_entry(T=1.0)
                sesn.ask_exit()

            sesn.run(log, *(sesn.plot(*p) for p in plots), server_port=None)
            return sesn.figures()

    first = {"fignum": 1, "maxvalues": 1000, "yscale": None, "ymin": None, "ymax": None,
             "variables": ["T"]}  # fmt: skip
    assert run(["T"]) == [first]
    again = run(["T"], ["T", 50, "log"])
    assert again == [first, {**first, "fignum": 2, "maxvalues": 50, "yscale": "log"}]


def test_plots_alone_are_a_run_that_ends_when_it_is_asked():
    with AsyncSession(verbose=False) as sesn:

        async def main():
            asyncio.get_running_loop().call_later(0.05, sesn.ask_exit)
            await sesn.monitor(sesn.plot("T"), server_port=None)

        asyncio.run(main())
        assert sesn.runs()[-1].exit_reason == "ask_exit()"


def test_plots_of_a_script_are_on_the_dashboard():
    shown = []

    async def look(sesn):
        shown.extend(watched(sesn, sesn.now(), math.inf, ServerOptions(), None).plots)
        sesn.ask_exit()

    with AsyncSession(verbose=False) as sesn:
        sesn.run(look, sesn.plot("T", yscale="log"), sesn.plot(x="V", y="I"), server_port=None)
    empty = dict.fromkeys(("title", "variables", "x", "y", "window"))
    assert shown == [
        {**empty, "variables": ["T"], "scale": "log"},
        {**empty, "x": "V", "y": "I", "scale": "linear"},
    ]


def test_a_saved_session_shows_what_was_plotted(tmp_path):
    with AsyncSession(tmp_path / "a", verbose=False) as sesn:

        async def log(sesn):
            sesn.add_entry(T=1.0)
            sesn.ask_exit()

        sesn.run(log, sesn.plot("T"), sesn.plot(x="V", y="I", yscale="log"), server_port=None)
        live = [plot.as_shown() for plot in internals(sesn).plots]
    with SavedAsyncSession(tmp_path / "a", verbose=False) as view:
        assert saved(view, tmp_path / "a.h5").plots == live


@pytest.mark.parametrize(
    "recorded",
    [
        None, 5, "T", [], {}, {"variables": "T"}, {"variables": []}, {"variables": [5]},
        {"x": 5, "y": 5}, {"x": "T"},
    ],
)  # fmt: skip
def test_what_is_no_plot_in_a_session_file_is_left_out(recorded):
    assert shown_again(recorded) is None


def test_what_pymanip_kept_of_a_plot_is_shown():
    kept = {"fignum": 1, "maxvalues": 1000, "yscale": "log", "ymin": None, "ymax": None}
    assert shown_again(kept | {"variables": ["a", "b"], "title": 5}) == {
        "title": None, "variables": ["a", "b"], "x": None, "y": None, "scale": "log", "window": None,
    }  # fmt: skip
