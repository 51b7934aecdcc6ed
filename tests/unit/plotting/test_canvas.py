"""Drawing with matplotlib: what is seen on the axes, whatever the values and the names."""

import io
import math
from types import MappingProxyType

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pymanip_run.plotting.canvas import COLOURS, STYLE, Drawing, panels, picture
from pymanip_run.plotting.plot import About, Plot
from pymanip_run.plotting.sheets import Curve, Sheet

NOTHING = MappingProxyType({})
START = 1_790_000_000.0


@pytest.fixture
def axes():
    with mpl.rc_context(STYLE):
        figure = Figure((4, 2), dpi=40)
        FigureCanvasAgg(figure)
        yield figure.add_subplot()
        figure.canvas.draw()  # nothing of it may fail, or warn


def curve(values, step=1.0):
    values = np.asarray(values, float)
    return Curve(START + step * np.arange(len(values)), values, values)


def shown(axes):
    return axes.get_ylim(), axes.texts[0].get_text()


def test_a_line_for_each_variable_with_its_label_and_unit(axes):
    plot = Plot(("T_top", "T_bottom"), title="Plates")
    about = {"T_top": About("Top plate", "°C"), "T_bottom": About(None, "°C")}
    Drawing(axes, plot).show({"T_top": curve([1, 2]), "T_bottom": curve([3, 4])}, about)
    assert axes.get_title() == "Plates"
    assert axes.get_ylabel() == "°C"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["Top plate", "T_bottom"]
    assert [line.get_color() for line in axes.lines] == list(COLOURS[:2])


def test_different_units_stand_in_the_legend_only(axes):
    drawing = Drawing(axes, Plot(("T", "P")))
    drawing.show({"T": curve([1]), "P": curve([2])}, {"T": About(None, "K"), "P": About(None, "W")})
    assert axes.get_ylabel() == ""
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["T (K)", "P (W)"]


def test_a_legend_leaves_room_for_the_lines(axes):
    names = tuple(f"v{i}" for i in range(60))
    about = {name: About("A very long name of a sensor " + name, "K") for name in names}
    Drawing(axes, Plot(names)).show({n: curve([1, 2]) for n in names}, about)
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {len(text) for text in texts} == {28}
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 28, "as many as colours and dashes make"


def test_names_are_letters_only(axes):
    names = ("_hidden", "$x_{", "100 %", "a\\b", "温度")
    Drawing(axes, Plot(names, title="$\\frac{")).show({n: curve([1, 2]) for n in names}, NOTHING)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(names)
    axes.get_legend().remove()  # the font of the tests need not have all of them


@pytest.mark.parametrize(
    "values",
    [
        [], [5.0], [0.0, 0.0], [1e308, -1e308], [math.inf, 1, -math.inf], [math.nan], [math.nan, 1],
        [5e-324, 1e-323], [-1, -2], [1e16, 1e16 + 2], [0, 1e-300],
    ],
)  # fmt: skip
@pytest.mark.parametrize("scale", ["linear", "log", "symlog", "logit"])
def test_any_values_can_be_drawn(axes, values, scale):
    drawing = Drawing(axes, Plot(("T",), scale=scale))
    for count in range(len(values) + 1):
        drawing.show({"T": curve(values[:count])}, NOTHING)
    low, high = axes.get_ylim()
    assert low < high


def test_axes_show_all_there_is_and_follow_it(axes):
    drawing = Drawing(axes, Plot(("T",)))
    drawing.show({"T": curve([1, 2])}, NOTHING)
    drawing.show({"T": curve([1, 2, 11])}, NOTHING)
    assert axes.get_ylim() == pytest.approx((0.5, 11.5))
    assert axes.get_xlim() == pytest.approx((START / 86400, (START + 2) / 86400))
    drawing.show({"T": curve([7])}, NOTHING)
    low, high = axes.get_xlim()
    assert (high - low) * 86400 == pytest.approx(30, abs=0.01)


def test_a_zoom_of_the_user_stays(axes):
    drawing = Drawing(axes, Plot(("T",)))
    drawing.show({"T": curve([1, 2])}, NOTHING)
    # As the toolbar does it.
    axes.set_ylim(1.2, 1.4)
    drawing.show({"T": curve([1, 2, 50])}, NOTHING)
    assert axes.get_ylim() == (1.2, 1.4)
    assert axes.get_xlim()[1] == pytest.approx((START + 2) / 86400)


def test_fixed_limits_stay(axes):
    drawing = Drawing(axes, Plot(x="V", y="I", xlim=(0, 5), ylim=(-1, 1)))
    drawing.show({"I": Curve(*3 * [np.array([10.0, 20.0])])}, {"V": About("Voltage", "V")})
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 5), (-1, 1))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Voltage (V)", "I")


def test_what_is_missing_is_said(axes):
    drawing = Drawing(axes, Plot(("T",), scale="log"))
    drawing.show({"T": curve([])}, NOTHING)
    assert shown(axes)[1] == "no values yet"
    drawing.show({"T": curve([-1, 0])}, NOTHING)
    assert shown(axes)[1] == "no values above 0"
    drawing.show({"T": curve([-1, 0, 3])}, NOTHING)
    assert shown(axes)[1] == ""


def test_a_log_axis_spans_the_positive_values(axes):
    Drawing(axes, Plot(("T",), scale="log")).show({"T": curve([-5, 0, 1e-3, 10])}, NOTHING)
    low, high = axes.get_ylim()
    assert 1e-4 < low < 1e-3
    assert 10 < high < 100


def test_nan_interrupts_the_line_and_a_stretch_is_drawn_from_end_to_end(axes):
    drawing = Drawing(axes, Plot(("T",)))
    drawing.show({"T": curve([1, math.nan, 3])}, NOTHING)
    assert np.isnan(axes.lines[0].get_ydata()).tolist() == [False, True, False]
    assert axes.lines[0].get_marker() == "o"
    x = np.array([START, START + 1])
    drawing.show({"T": Curve(x, np.array([0.0, 1.0]), np.array([5.0, 6.0]))}, NOTHING)
    assert axes.lines[0].get_ydata().tolist() == [0, 5, 1, 6]
    assert axes.lines[0].get_marker() in ("", "None")


def has_colour(png, colour):
    pixels = (mpl.image.imread(io.BytesIO(png))[..., :3] * 255).round()
    return bool((pixels == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(-1).any())


def test_signs_that_the_font_does_not_have_do_not_matter():
    assert picture(Plot(("温度",), title="\x1b[31m"), {"温度": curve([1])}, NOTHING)


def test_a_picture_shows_the_lines():
    curves = {"T": curve(np.sin(np.arange(200))), "P": curve([2, 2])}
    png = picture(Plot(("T", "P")), curves, NOTHING)
    assert png.startswith(b"\x89PNG")
    assert has_colour(png, COLOURS[0])
    assert has_colour(png, COLOURS[1])
    assert not has_colour(picture(Plot(("T",)), {"T": curve([])}, NOTHING), COLOURS[0])


@pytest.mark.parametrize(
    ("kind", "beginning"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")]
)
def test_panels_below_each_other_share_their_time(kind, beginning):
    sheets = [Sheet(Plot(("T",))), Sheet(Plot(("P",)))]
    sheets[0].take({"T": curve([1, 2])[:2]})
    sheets[1].take({"P": curve([1, 2, 3])[:2]})
    assert panels(sheets, NOTHING, kind).startswith(beginning)
