"""The first and the last record of each dataset: as a picture, a curve, or a text."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import PymanipError
from pymanip_run.export import png
from pymanip_run.export.jsonl import to_json
from pymanip_run.export.report.axes import finite_range, linear_axis
from pymanip_run.export.report.curves import Curve
from pymanip_run.export.report.markup import element, text
from pymanip_run.export.report.svg import Line, chart
from pymanip_run.export.report.timeline import moment
from pymanip_run.units import format_duration, format_size
from pymanip_run.wording import grouped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import DatasetInfo

__all__ = ["records"]

#: Datasets that are shown with records, and pixels along a side, points of a curve, characters of a text.
MOST, PIXELS, POINTS, CHARACTERS = 8, 400, 1000, 1000
#: Larger records are not read for a picture.
LARGEST = 500_000_000


def records(view: SessionView) -> Iterator[str]:
    """Yield a part of the page for each dataset."""
    for number, info in enumerate(view.datasets_info().values()):
        shown = "".join(_shown(view, info)) if number < MOST and info.n else ""
        heading = element("h3", text(info.name))
        pictures = element("div", shown, class_="records") if shown else ""
        yield element(
            "article", heading, element("p", text(_about(info)), class_="quiet"), pictures
        )


def _about(info: DatasetInfo) -> str:
    shape = " × ".join(map(str, info.shape))
    parts = [f"{grouped(info.n)} record{'s' * (info.n != 1)}", f"{shape} {info.dtype}".strip()]
    parts.append(format_size(info.nbytes))
    if info.unit:
        parts.append(info.unit)
    if info.n > 1 and info.last_time > info.first_time:
        parts.append(f"every {format_duration((info.last_time - info.first_time) / (info.n - 1))}")
    return ", ".join(parts)


def _shown(view: SessionView, info: DatasetInfo) -> Iterator[str]:
    if info.nbytes / info.n > LARGEST:
        return
    times = view.dataset_times(info.name)
    for number in dict.fromkeys((0, info.n - 1)):
        which = "first" if number == 0 else "last"
        caption = f"{which}, {moment(float(times[number]))}"
        try:
            content = _record(view.dataset(info.name, n=number), f"{info.name}, {caption}")
        except (PymanipError, ValueError, MemoryError, OSError) as error:
            content = element("p", text(f"cannot be read: {error}"[:CHARACTERS]), class_="quiet")
        yield element("figure", content, element("figcaption", text(caption)))


def _record(value: Any, title: str) -> str:
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind not in "biufc":
        words = value if isinstance(value, str) else to_json(_plain(value))
        more = "…" if len(words) > CHARACTERS else ""
        return element("pre", text(words[:CHARACTERS] + more))
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind == "c":
        array, title = np.abs(array), f"{title} (magnitude)"
    if array.ndim == 0:
        return element("p", text(array.item()))
    if array.ndim == 1 and array.size > 1:
        return _curve(array, title)
    try:
        return _picture(array, title)
    except png.NotAnImageError:
        return element(
            "p", text(f"{' × '.join(map(str, array.shape))} {array.dtype}"), class_="quiet"
        )


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _curve(array: NDArray[Any], title: str) -> str:
    """Return an array of numbers as a line over their numbers, a long one as its envelope."""
    size = len(array)
    starts = np.unique(np.linspace(0, size, min(size, POINTS), endpoint=False).astype(np.intp))
    values = array.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    found = finite_range([low, high])
    if found is None:
        return element("p", "no finite value", class_="quiet")
    mean = low / 2 + high / 2
    curve = Curve(starts.astype(np.float64), low, mean, high, math.inf)
    if size <= POINTS:
        curve = Curve(starts.astype(np.float64), low, low, low, math.inf)
    axes = linear_axis(0.0, float(size - 1)), linear_axis(*found)
    return chart([Line(title, curve, 0)], *axes, title=title)


def _picture(array: NDArray[Any], title: str) -> str:
    """Return an image of 8 bits, made smaller by leaving pixels out."""
    steps = [max(1, math.ceil(length / PIXELS)) for length in array.shape[:2]]
    step = max(steps)
    small = array[::step, ::step]
    scale = ""
    if not (small.dtype == np.bool_ or (small.ndim == 3 and small.dtype == np.uint8)):
        small, scale = _grey(small)
    data = base64.b64encode(png.encoded(small)).decode("ascii")
    picture = element("img", src=f"data:image/png;base64,{data}", alt=title)
    return picture + (element("small", text(scale)) if scale else "")


def _grey(array: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Return values as shades of grey, and what black and white are."""
    values = array.astype(np.float64)
    found = finite_range([values])
    if found is None or not values.size:
        raise png.NotAnImageError("no finite value")
    low, high = found
    with np.errstate(all="ignore"):
        share = (values / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)
    grey = np.rint(np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255)
    return grey.astype(np.uint8), f"black {low:.5g}, white {high:.5g}"
