"""A series page by page is the series."""

import numpy as np
import pytest

from pymanip_run.core.decimate import decimated, envelope
from pymanip_run.core.pages import pages
from pymanip_run.storage.batch import cut_series

TIMES = np.array(
    [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0, 5.0, 6.0]
)  # equal ones as old sessions have
VALUES = np.arange(10.0)


def read(window):
    return cut_series((TIMES, VALUES), window)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 10, 11, 100])
@pytest.mark.parametrize(
    "limits", [(None, None), (2.0, None), (None, 4.0), (2.5, 4.5), (9.0, None)]
)
def test_pages_are_the_series(size, limits):
    found = list(pages(read, *limits, size=size))
    inside = ((limits[0] or 0) <= TIMES) & ((limits[1] or 99) > TIMES)
    assert [t for page, _ in found for t in page] == TIMES[inside].tolist()
    assert [v for _, page in found for v in page] == VALUES[inside].tolist()
    assert all(len(page) <= max(size, 4) for page, _ in found)


def test_a_long_series_is_decimated_in_parts(monkeypatch):
    times, values = np.arange(10_000.0), np.sin(np.arange(10_000) / 100)
    monkeypatch.setattr("pymanip_run.core.decimate.AT_ONCE", 1000)

    def reading(window):
        return cut_series((times, values), window)

    found = decimated(reading, 100, expected=10_000)
    whole = envelope(times, values, 100)
    assert len(found.timestamps) <= 100
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_allclose(one, other)
    part = decimated(reading, 50, since=2000, until=7000)
    assert part.timestamps[0] == 2000
    assert 25 <= len(part.timestamps) <= 50
    assert part.max.max() == values[2000:7000].max()
    assert part.min.min() == values[2000:7000].min()
    np.testing.assert_array_equal(decimated(reading, 50, until=10).max, values[:10])
