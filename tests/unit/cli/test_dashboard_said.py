"""What is said of the dashboard when a run begins."""

import pytest

from pymanip_run.cli.dashboard import tell
from pymanip_run.session.serving import Told

LINK = "http://labpc:6914/#t=AAAA-BBBB-CCCC-DDDD"


def told(**changes):
    known = {
        "url": "http://labpc:6914", "link": LINK, "shared": False, "moved": False, "is_open": False,
        "own_token": False, "encrypted": False,
    }  # fmt: skip
    return Told(**(known | changes))


@pytest.mark.parametrize(("changes", "there", "not_there"), [
    ({}, "dashboard: http://labpc:6914   pymanip-run open", "#t="),
    ({"moved": True}, "(the usual port is taken)", "#t="),
    ({"own_token": True}, LINK, "pymanip-run open"),
    ({"shared": True}, LINK, "no token"),
    ({"shared": True}, "ssh -L 6914:localhost:6914", "no token"),
    ({"shared": True, "encrypted": True}, LINK, "read along"),
    ({"is_open": True}, "asks for no token", "#t="),
])  # fmt: skip
def test_where_it_is_and_who_gets_in_is_said(capsys, changes, there, not_there):
    tell(told(**changes))
    said = capsys.readouterr().err
    assert there in said
    assert not_there not in said
