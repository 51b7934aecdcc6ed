"""Whether there can be windows."""

import pytest

from pymanip_run.plotting.screen import has_screen


@pytest.mark.parametrize(
    ("environ", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"DISPLAY": ""}, "linux", False),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":0", "MPLBACKEND": "Agg"}, "linux", False),
        ({"DISPLAY": ":0", "MPLBACKEND": "QtAgg"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "darwin", False),
    ],
)
def test_a_screen_is_there_or_is_not_wanted(environ, platform, there):
    assert has_screen(environ, platform) is there
