import math

import pytest
from helpers_livetable import StillRun
from rich.cells import cell_len

from pymanip_run.livetable.model import Model
from pymanip_run.livetable.screen import Screen
from pymanip_run.livetable.state import AlarmState, SweepProgress, TaskProgress
from pymanip_run.livetable.table import age_text, rate_text
from pymanip_run.livetable.text import ASCII
from pymanip_run.records import Description, Entry, Event, VariableInfo


def filled(run, names=("T_bottom", "power"), unit="°C", period=10.0):
    model = Model(run.started)
    model.describe({n: VariableInfo(n, Description(unit=unit, period=period)) for n in names})
    for step in range(60):
        time = run.time - 600 + step * 10
        values = tuple(41 + math.sin(step / 9 + i) for i in range(len(names)))
        model.absorb([Entry(round(time * 1e9), tuple(names), values)])
    return model


def text(screen, width=80, height=23):
    return ["".join(part for part, _ in line) for line in screen.compose(width, height)]


def test_the_screen_has_what_the_sketch_shows():
    run = StillRun()
    run.sweep_list = [SweepProgress("voltage_scan", 7, 11, 130.0)]
    run.task_list = [TaskProgress("snapshot", "waiting", run.time + 220, 600.0)]
    model = filled(run)
    model.absorb([Event(round((run.time - 60) * 1e9), "note", "", "refilled nitrogen")])
    shown = "\n".join(text(Screen(model, run), 120, 40))
    for part in (
        "convection · Rayleigh-Bénard cell, run 12", "running 2:14:07 of 14 d", "48 210 entries · 3.1 MB, all safe",
        "http://localhost:6913", "T_bottom", "°C", "0.1/s", "last 10 minutes", "ok", "7 of 11 points · 0:02:10 left",
        "snapshot next in 3:40", "note: refilled nitrogen", "q stop",
    ):  # fmt: skip
        assert part in shown, part


@pytest.mark.parametrize("width", [1, 5, 20, 40, 60, 80, 100, 200, 400])
@pytest.mark.parametrize("height", [1, 2, 4, 8, 23, 60])
def test_no_line_is_too_long_and_no_screen_too_high(width, height):
    run = StillRun(address="http://a-very-long-name.example.org:6913")
    run.sweep_list = [SweepProgress("s" * 50, 3, 9, 1e6)] * 5
    model = filled(run, [f"a rather long name of a variable {i}" for i in range(50)])
    model.absorb([Event(1, "error", "task", "long " * 100)] * 9)
    lines = text(Screen(model, run), width, height)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


def test_of_300_variables_as_many_as_fit_are_shown_and_the_rest_is_counted():
    run = StillRun()
    lines = text(Screen(filled(run, [f"ch{i:03}" for i in range(300)]), run))
    shown = [line for line in lines if line.startswith("  ch")]
    assert f"  … and {300 - len(shown)} more" in lines
    assert len(shown) >= 10


def test_a_stale_variable_is_shown_even_when_not_all_fit_and_says_so_in_words():
    run = StillRun()
    model = filled(run, [f"ch{i:03}" for i in range(300)])
    last = model.traces["ch299"]
    last.last = (run.time - 247, 1.0)
    line = next(line for line in text(Screen(model, run), 100) if "ch299" in line)
    assert "no fresh value" in line
    assert "4 min" in line


def test_stale_is_red_and_fresh_is_not():
    run = StillRun()
    model = filled(run)
    model.traces["power"].last = (run.time - 247, 1.0)
    styles = {
        line[0][0].strip(): [s for t, s in line if t.strip()]
        for line in Screen(model, run).compose(80, 23)
    }
    assert "red" in styles["power"]
    assert "red" not in styles["T_bottom"]


def test_columns_keep_their_place_while_values_change():
    run = StillRun()
    model = filled(run)
    screen = Screen(model, run)
    before = text(screen)
    for step, value in enumerate((-41.2, 0.0001, 39.0)):
        model.absorb([Entry(round((run.time + step) * 1e9), ("T_bottom", "power"), (value, value))])
    assert [line.index("°C") for line in text(screen) if "°C" in line] == [
        line.index("°C") for line in before if "°C" in line
    ]


def test_control_characters_and_markup_are_inert_wherever_they_come_from():
    run = StillRun(title="[red]\x1b[31mtitle", path="\x07path.h5", stopping=None)
    run.sweep_list = [SweepProgress("\x1b]0;sweep", 1, 2)]
    run.alarm_map = {"n[b]\x1bx": AlarmState("active", "\x1b[5malarm")}
    model = filled(run, ["n[b]\x1bx"], unit="\x1b[31m")
    model.absorb([Event(1, "note", "\x1b", "\x1b[2J\r\n")])
    shown = "".join(text(Screen(model, run), 200, 40))
    assert shown.isprintable()
    assert "n[b]\\x1bx" in shown
    assert "[red]" in shown


def test_everything_is_ascii_where_the_terminal_is():
    run = StillRun()
    run.sweep_list = [SweepProgress("s", 1, 2)]
    assert "\n".join(text(Screen(filled(run), run, ASCII), 120)).isascii()


def test_narrow_screens_drop_the_least_important_columns():
    run = StillRun()
    titles = {
        w: next(x for x in text(Screen(filled(run), run), w) if "variable" in x)
        for w in (30, 50, 80)
    }
    assert "value" in titles[30]
    assert "rate" not in titles[30]
    assert "alarm" in titles[50]
    assert "last 10 minutes" in titles[80]


def test_the_file_line_gives_up_what_matters_least():
    run = StillRun()
    line = text(Screen(filled(run), run), 80)[1]
    assert "http://localhost:6913" in line
    assert "48 210 entries" in line


def test_an_alarm_is_said_in_words_and_colour():
    run = StillRun()
    run.alarm_map = {"power": AlarmState("active", "above 60 W")}
    line = next(line for line in Screen(filled(run), run).compose(100, 23) if "power" in line[0][0])
    assert ("red", True) in [(style, "above 60 W" in text) for text, style in line]


def test_a_stopping_run_says_how_to_cancel_and_values_do_not_grow_stale_meanwhile():
    run = StillRun()
    model = filled(run)
    screen = Screen(model, run)
    run.stopping = "Ctrl-C"
    assert text(screen)[-1] == " finishing the present step; press Ctrl-C again to cancel it"
    run.time += 1000
    assert "no fresh value" not in "\n".join(text(screen))


def test_the_last_screen_tells_the_outcome_and_offers_no_keys():
    run = StillRun()
    shown = text(Screen(filled(run), run, outcome="stopped by Ctrl-C"))
    assert shown[0].endswith("stopped by Ctrl-C")
    assert "q stop" not in "\n".join(shown)


def test_a_run_that_has_logged_nothing_says_so():
    assert "  nothing logged yet" in text(Screen(Model(0.0), StillRun()))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (2.9, "2 s"), (99, "99 s"), (247, "4 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_ages(seconds, shown):
    assert age_text(seconds) == shown


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (0.1, "0.1/s"),
        (12.3, "12/s"),
        (1 / 60, "1.0/min"),
        (1 / 600, "6.0/h"),
        (52_000, "52k/s"),
        (math.nan, "–"),
    ],
)
def test_rates(rate, shown):
    assert rate_text(rate) == shown
