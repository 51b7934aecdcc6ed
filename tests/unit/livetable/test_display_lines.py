import json
import math
import re

from helpers_livetable import StillRun

from pymanip_run.livetable import Ending, end_of_run
from pymanip_run.livetable.lines import item_json, status_line, sweep_json
from pymanip_run.livetable.model import Model
from pymanip_run.livetable.state import SweepProgress
from pymanip_run.records import Description, Entry, Event, VariableInfo


def test_a_line_has_time_values_stale_ones_and_sweeps():
    run = StillRun()
    model = Model(run.started)
    model.describe({"flow": VariableInfo("flow", Description(period=10.0))})
    model.absorb([Entry(round((run.time - 247) * 1e9), ("flow",), (1.0,))])
    model.absorb([Entry(round(run.time * 1e9), ("T_bottom", "power"), (41.273, 12.02))])
    run.sweep_list = [
        SweepProgress("voltage_scan", 7, 11, 130.0),
        SweepProgress("adaptive", 3, None),
    ]
    line = status_line(model, run)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ", line)
    assert line.split()[1:] == [
        "flow=stale(247s)", "T_bottom=41.273", "power=12.020", "voltage_scan=7/11", "adaptive=3",
        "voltage_scan.left=0:02:10",
    ]  # fmt: skip


def test_a_name_that_is_no_word_is_quoted_so_that_the_line_can_be_taken_apart():
    run = StillRun()
    model = Model(run.started)
    model.absorb([Entry(round(run.time * 1e9), ("a b=c\x1b",), (1.0,))])
    assert status_line(model, run).endswith(' "a b=c\\\\x1b"=1')


def test_json_lines_are_standard_json_also_for_what_is_not_finite():
    line = item_json(
        Entry(1_500_000_000, ("a", "b", "c", "d"), (1.5, math.nan, math.inf, -math.inf))
    )
    assert json.loads(line, parse_constant=lambda _: 1 / 0) == {
        "type": "entry",
        "time": 1.5,
        "values": {"a": 1.5, "b": None, "c": None, "d": None},
        "nonfinite": {"b": "nan", "c": "inf", "d": "-inf"},
    }


def test_the_progress_of_a_sweep_is_an_object_of_its_own():
    assert json.loads(sweep_json(5.0, SweepProgress("scan", 7, 11, 130.0, 2))) == {
        "type": "sweep", "time": 5.0, "name": "scan", "done": 7, "total": 11, "failed": 2, "left": 130.0,
    }  # fmt: skip
    unknown = json.loads(sweep_json(5.0, SweepProgress("adaptive", 3, None, math.inf)))
    assert (unknown["total"], unknown["left"]) == (None, None)


def test_an_event_is_one_line_whatever_its_text():
    line = item_json(Event(1_000_000_000, "note", "anna", "two\nlines \x1b[31m é"))
    assert "\n" not in line
    assert line.isprintable()
    assert json.loads(line)["text"] == "two\nlines \x1b[31m é"


def test_the_end_of_a_run_says_what_is_left_and_how_to_look_at_it():
    ending = Ending(
        "stopped by Ctrl-C", 8049, 48_214, 4, images=13, events=3,
        devices=["supply (safe: output off)", "thermo"], path="data/my run.h5", file_size=3_100_000,
    )  # fmt: skip
    assert end_of_run(ending).splitlines() == [
        "stopped by Ctrl-C after 2:14:09 · 48 214 entries of 4 variables, 13 images, 3 events",
        "devices closed: supply (safe: output off), thermo",
        "data/my run.h5  (3.1 MB)      look: pymanip-inspect 'data/my run.h5'",
    ]


def test_one_entry_of_one_variable_is_not_plural():
    assert (
        end_of_run(Ending("finished", 1, 1, 1)) == "finished after 0:00:01 · 1 entry of 1 variable"
    )


def test_a_line_has_no_values_of_earlier_runs():
    run = StillRun()
    model = Model(run.started)
    before = {"T_rest": (run.started - 60, 25.0), "T": (run.started - 60, 20.0)}
    model.describe(
        {
            "T_rest": VariableInfo("T_rest"),
            "T": VariableInfo("T", Description(period=1e6)),
        },
        before,
    )
    assert status_line(model, run).split()[1:] == ["T=-"]
