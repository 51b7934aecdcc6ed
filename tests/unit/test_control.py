"""The socket on which a run listens to other processes of its user."""

import contextlib
import json
import os
import socket
import stat
import threading

import pytest

from pymanip_run import control
from pymanip_run.control import Control, Conversation, listening, socket_places
from pymanip_run.errors import RemoteError


def failing(_):
    raise ValueError("a note needs a text")


@pytest.fixture
def heard():
    return []


@pytest.fixture
def handlers(heard):
    def note(request):
        heard.append(request["text"])
        return {"time": 1.5}

    return {"note": note, "fail": failing, "echo": lambda request: {"is": request.get("x")}}


@pytest.fixture
def path(tmp_path, handlers):
    path = tmp_path / "run.sock"
    server = Control(path, handlers)
    yield path
    server.close()


def raw(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    return connection


def test_a_command_is_done_and_answered(path, heard):
    with Conversation(path) as conversation:
        assert conversation.ask("note", text="refilled nitrogen") == {"time": 1.5}
        assert conversation.ask("echo", x=[1, None]) == {"is": [1, None]}
    assert heard == ["refilled nitrogen"]


def test_the_socket_is_for_its_owner_alone(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_handler_objects_to_is_told(path):
    with Conversation(path) as conversation:
        with pytest.raises(RemoteError, match="it refuses: a note needs a text"):
            conversation.ask("fail")
        assert conversation.ask("echo") == {"is": None}


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b'{"command": 3}', b'{"command": "x"}', b"\xff", b"[" * 9999],
)
def test_what_is_no_command_is_refused_and_the_next_one_heard(path, line):
    with raw(path) as connection, connection.makefile("rb") as answers:
        connection.sendall(line + b'\n{"command": "echo", "x": 1}\n')
        assert json.loads(answers.readline()) == {
            "ok": False,
            "error": "this run does not know that command",
        }
        assert json.loads(answers.readline()) == {"ok": True, "is": 1}


def test_a_line_without_end_is_hung_up_on(path):
    with raw(path) as connection:
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b"x" * 4096)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
    with Conversation(path) as conversation:
        assert conversation.ask("echo", x=2) == {"is": 2}


def test_one_who_says_nothing_keeps_nobody_waiting(path):
    with raw(path), raw(path) as half, Conversation(path) as conversation:
        half.sendall(b'{"command": ')
        assert conversation.ask("echo", x=3) == {"is": 3}


def test_so_many_that_connect_are_enough(path, monkeypatch):
    silent = [raw(path) for _ in range(control.MAX_CLIENTS)]
    with pytest.raises(RemoteError, match="hung up"), Conversation(path) as conversation:
        conversation.ask("echo")
    for one in silent:
        one.close()


def test_other_users_are_hung_up_on(path, monkeypatch, heard):
    other = os.geteuid() + 1
    with raw(path) as connection:
        connection.sendall(b'{"command": "echo"}\n')
        assert connection.recv(100)
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with raw(path) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(b'{"command": "note", "text": "mine"}\n')
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100) == b""
    with pytest.raises(RemoteError, match="another user's process"):
        Conversation(path)
    assert heard == []


def test_nobody_there_is_said(tmp_path):
    with pytest.raises(RemoteError, match="does not listen"):
        Conversation(tmp_path / "nobody.sock")


def test_one_who_never_answers_is_given_up(tmp_path):
    path = tmp_path / "dumb.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(RemoteError, match="does not answer"), Conversation(path, 0.05) as one:
            one.ask("echo")


def test_when_closed_the_socket_and_its_thread_are_gone(tmp_path, handlers):
    path = tmp_path / "run.sock"
    server = Control(path, handlers)
    with Conversation(path) as conversation:
        server.close()
        with pytest.raises(RemoteError):
            conversation.ask("echo")
    assert not path.exists()
    assert "control" not in [thread.name for thread in threading.enumerate()]


def test_a_path_longer_than_an_address_works(tmp_path, handlers):
    folder = tmp_path / ("long" * 30)
    path = folder / "run.sock"
    server = Control(path, handlers)
    try:
        assert len(str(path)) > control.MAX_ADDRESS
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with Conversation(path) as conversation:
            assert conversation.ask("echo", x=4) == {"is": 4}
    finally:
        server.close()
    assert not path.exists()


class Registered:
    def __init__(self, path):
        self.path = path
        self.control = None

    def update(self, **changes):
        self.control = changes["control"]


def test_the_registry_says_where_a_run_listens(tmp_path, handlers):
    registered = Registered(tmp_path / "run.json")
    with listening(registered, handlers):
        assert registered.control == str(tmp_path / "run.sock")
        with Conversation(tmp_path / "run.sock") as conversation:
            assert conversation.ask("echo", x=5) == {"is": 5}
    assert list(tmp_path.iterdir()) == []


def test_where_the_state_folder_takes_no_socket_the_runtime_folder_does(
    tmp_path, monkeypatch, handlers
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    registered = Registered(tmp_path / "no" / "folder" / "run.json")
    (tmp_path / "no").write_text("a file in the way")
    with listening(registered, handlers):
        assert registered.control == str(tmp_path / "pymanip-run" / "run.sock")
        with Conversation(tmp_path / "pymanip-run" / "run.sock") as conversation:
            assert conversation.ask("echo", x=6) == {"is": 6}
    assert stat.S_IMODE((tmp_path / "pymanip-run").stat().st_mode) == 0o700


@pytest.mark.parametrize("runtime", ["", "relative"])
def test_a_run_that_can_have_no_socket_goes_on_without(tmp_path, monkeypatch, handlers, runtime):
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    (tmp_path / "no").write_text("a file in the way")
    registered = Registered(tmp_path / "no" / "run.json")
    assert len(socket_places(registered.path)) == 1
    with listening(registered, handlers):
        assert registered.control is None
    with listening(Registered(None), handlers):
        pass
