"""`RemoteObserver` against a real server."""

import itertools
import math
import random
import select
import socket
import ssl
import threading
import time

import numpy as np
import pytest

from pymanip_run import AsyncSession, RemoteError, UsageError, access
from pymanip_run.observe import RefusedError, RemoteObserver, UnreachableError
from pymanip_run.session import internals
from pymanip_run.web.ports import listen
from pymanip_run.web.server import Server
from pymanip_run.web.settings import Policy, Watched


@pytest.fixture
def session():
    with AsyncSession(verbose=False) as sesn:
        yield sesn


@pytest.fixture
def observer(serve):
    """An observer of the same user on the same computer: it needs no token."""
    with RemoteObserver("127.0.0.1", serve().port) as one:
        yield one


def test_its_reads_are_those_of_the_session(observer, session):
    session.describe("T", unit="K", label="temperature", period=3)
    for value in (1.0, math.nan, -math.inf, 4.0):
        session.add_entry(T=value, P=2.0)
    session.save_parameter(voltage=4, name="x", on=True)
    session.save_metadata(cell={"a": [1, 2]})
    session.note("hello")
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    session.add_dataset(frame=image, words="text")
    assert observer.logged_variables() == {"T", "P"}
    assert np.array_equal(observer["T"].values, session["T"].values, equal_nan=True)
    assert np.array_equal(observer["T"].timestamps, session["T"].timestamps)
    t, v = observer["T"].tail(2)
    assert v.tolist() == [-math.inf, 4.0]
    assert observer["T"].unit == "K"
    since = float(session["T"].timestamps[2])
    assert observer.logged_data_fromtimestamp("T", since)[1].tolist() == [-math.inf, 4.0]
    assert observer.logged_last_values() == session.logged_last_values()
    assert observer.get_last_values() == {"T": 4.0, "P": 2.0}
    assert observer.parameters() == session.parameters()
    assert observer.metadatas() == session.metadatas()
    assert observer.events() == session.events()
    assert observer.runs() == session.runs()
    assert observer.dataset_names() == {"frame", "words"}
    assert np.array_equal(observer.dataset("frame"), image)
    assert observer.dataset_last_data("words")[1] == "text"
    assert observer.dataset_times("frame").tolist() == session.dataset_times("frame").tolist()
    assert observer.variables()["T"].description == session.variables()["T"].description
    assert observer.t0 == session.t0
    assert observer.last_timestamp == session.last_timestamp
    with pytest.raises(KeyError, match="did you mean 'T'"):
        observer.logged_variable("t")
    with pytest.raises(KeyError, match="no dataset"):
        observer.dataset("nothing")
    del t


def test_a_name_of_a_dataset_may_hold_anything(observer, session):
    session.add_dataset({"a/b ?#%é": np.zeros(3)})
    assert observer.dataset("a/b ?#%é").tolist() == [0, 0, 0]


def test_a_recording_without_reduction_has_times_for_each(observer, session):
    session.add_entry(before=1.0)
    observer.start_recording()
    session.add_entry(T=1.0)
    session.add_entry(P=2.0)
    data = observer.stop_recording(reduce_time=False)
    times = {name: session[name].timestamps.tolist() for name in ("T", "P")}
    assert data == {
        "before": {"t": [], "value": []}, "T": {"t": times["T"], "value": [1.0]}, "P": {"t": times["P"], "value": [2.0]},
        "parameters": {},
    }  # fmt: skip


def test_equal_times_become_one_list_and_parameters_come_along(observer, session):
    session.save_parameter(voltage=4, T="hidden by the variable")
    observer.start_recording()
    for number in range(3):
        session.add_entry(T=number, P=-number)
    data = observer.stop_recording()
    assert data["T"] == [0, 1, 2]
    assert data["P"] == [0, -1, -2]
    assert data["time"] == session["T"].timestamps.tolist()
    assert data["voltage"] == 4
    assert data["parameters"] == {"voltage": 4, "T": "hidden by the variable"}


def test_unequal_times_are_never_merged_unless_that_is_forced(observer, session):
    for force in (False, True):
        observer.start_recording()
        session.add_entry(T=1.0)
        session.add_entry(T=2.0, P=1.0)
        data = observer.stop_recording(force_reduce_time=force)
        assert ("time" in data) is force
        assert (data["T"] if force else data["T"]["value"]) == [1.0, 2.0]


def test_recording_as_a_context(observer, session):
    with observer.recording() as data:
        session.add_entry(T=1.0)
        assert data == {}
    assert data["T"] == [1.0]


def test_what_was_recorded_can_be_saved(observer, session):
    observer.start_recording()
    session.add_entry(T=1.0)
    data = observer.stop_recording()
    with AsyncSession(verbose=False) as mine:
        mine.save_remote_data(data)
        assert list(mine.dataset("T")) == [1.0]


def test_stopping_what_was_not_begun_is_told(observer):
    with pytest.raises(UsageError, match="start_recording"):
        observer.stop_recording()


def test_a_long_recording_comes_in_pages(serve, session, monkeypatch):
    from pymanip_run.web import api

    monkeypatch.setattr(api, "PAGE", 50)
    with RemoteObserver("127.0.0.1", serve().port) as observer:
        observer.start_recording()
        for number in range(400):
            session.add_entry({f"v{number % 7}": number, "all": number})
        data = observer.stop_recording(reduce_time=False)
        assert data["all"]["value"] == list(range(400))
        for k in range(7):
            assert data[f"v{k}"]["value"] == list(range(k, 400, 7))


def test_recording_is_exactly_once_whatever_restarts(tmp_path):
    """Random intervals, with random restarts of server and observer, equal the file's content."""
    rng = random.Random(5)
    path = tmp_path / "cell"
    access.user_token()
    stop = threading.Event()

    def open_session():
        sesn = AsyncSession(path, verbose=False)
        inside = internals(sesn)
        watched = Watched(
            sesn, "x", feed=inside.feed, now=inside.recorder.now, position=inside.recorder.position
        )
        server = Server(watched, listen(port=0), Policy())
        server.start()
        server.wait_until_ready()
        return sesn, server

    sesn, server = open_session()
    lock = threading.Lock()

    def write():
        for number in itertools.count():
            if stop.is_set():
                return
            with lock:
                sesn.add_entry(
                    {"n": number}
                    | ({"odd": number} if number % 2 else {})
                    | ({"rare": number} if number % 50 == 0 else {})
                )
            if number % 20 == 0:
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    taken = []
    try:
        cursor = None
        for _ in range(40):
            time.sleep(rng.random() * 0.03)
            if rng.random() < 0.2:
                with lock:
                    server.close()
                    sesn.close()
                    sesn, server = open_session()
            with RemoteObserver("127.0.0.1", server.port) as observer:
                if cursor is None:
                    cursor = observer.snapshot()["next"]
                more = True
                while more:
                    entries, cursor, more = observer.page_after(cursor)
                    taken += entries
    finally:
        stop.set()
        writer.join()
        server.close()
        sesn.close()
    assert len(taken) > 1000
    assert_is_the_content(taken, path)


def assert_is_the_content(taken, path):
    """What was taken is exactly what the file has from the first to the last of it."""
    with AsyncSession(path, verbose=False, readonly=True) as saved:
        for name in ("n", "odd", "rare"):
            t, v = saved[name]
            inside = (t >= taken[0].t) & (t <= taken[-1].t)
            found = [(e.t, e.values[name]) for e in taken if name in e.values]
            assert found == list(zip(t[inside].tolist(), v[inside].tolist(), strict=True))


def test_follow_yields_each_entry(observer, session):
    entries = observer.follow(poll=0.01)
    seen = []
    ready = threading.Event()

    def follow():
        ready.set()
        seen.extend(itertools.islice(entries, 20))

    thread = threading.Thread(target=follow)
    thread.start()
    ready.wait()
    deadline = time.monotonic() + 20
    number = 0
    while thread.is_alive():
        assert time.monotonic() < deadline
        session.add_entry(n=number, square=number**2)
        number += 1
        time.sleep(0.005)
    thread.join()
    numbers = [entry.values["n"] for entry in seen]
    assert numbers == [numbers[0] + k for k in range(20)]
    assert all(entry.values["square"] == entry.values["n"] ** 2 for entry in seen)


def test_following_begins_when_it_is_asked_for(observer, session):
    entries = observer.follow(poll=0.01)
    session.add_entry(n=1.0)
    assert next(entries).values == {"n": 1.0}


def test_following_ends_with_the_run_and_has_all_of_it(serve, session):
    ended = {"state": "stopping", "reason": "enough", "exit_code": 0, "started": None, "duration": None,
             "tasks": [], "sweeps": [], "alarms": []}  # fmt: skip
    client = serve(progress=lambda: dict(ended))
    with RemoteObserver("127.0.0.1", client.port) as observer:
        entries = observer.follow(poll=5)
        seen = []
        following = threading.Thread(target=lambda: seen.extend(entries))
        following.start()
        time.sleep(0.3)  # it waits for what is new
        for number in range(3000):
            session.add_entry(n=number)
        client.server.close()
        following.join(10)
        assert not following.is_alive()
    assert [entry.values["n"] for entry in seen] == list(range(3000))


def test_what_ends_a_recording_is_not_hidden_by_a_server_that_is_gone(serve, session):
    client = serve()

    def record(observer):
        with observer.recording():
            client.server.close()
            raise ZeroDivisionError

    with (
        RemoteObserver("127.0.0.1", client.port) as observer,
        pytest.raises(ZeroDivisionError),
    ):
        record(observer)


def test_a_note(observer, session):
    event = observer.note("refilled", source="notebook")
    assert session.events() == [event]
    assert (event.text, event.source) == ("refilled", "notebook")


# -- addresses and tokens -----------------------------------------------------------------------


@pytest.mark.parametrize(("text", "wanted"), [
    ("labpc", ("labpc", 6913, None, False)), ("labpc:7000", ("labpc", 7000, None, False)), ("[::1]:7000", ("::1", 7000, None, False)),
    ("::1", ("::1", 6913, None, False)), ("http://labpc:6914/#t=AAAA-BBBB", ("labpc", 6914, "AAAA-BBBB", False)),
    ("https://labpc/#t=x", ("labpc", 443, "x", True)), ("192.168.0.7", ("192.168.0.7", 6913, None, False)),
    ("  labpc ", ("labpc", 6913, None, False)), ("http://[fe80::1]:6913/", ("fe80::1", 6913, None, False)),
])  # fmt: skip
def test_a_host_is_a_name_a_name_with_port_or_a_link(text, wanted):
    assert tuple(access.parse_address(text)) == wanted


@pytest.mark.parametrize(
    "text", ["", "ftp://labpc", "http://", "labpc:x", "labpc:99999", "user@labpc", "http://[::1"]
)
def test_what_is_no_address_is_told(text):
    with pytest.raises(UsageError, match="is no address"):
        RemoteObserver(text)


def test_the_link_lets_in(serve, session):
    session.add_entry(T=1.0)
    link = serve().server.link.replace("localhost", "127.0.0.1")
    access.rotate_token()  # so that it is the link's token that is used
    with RemoteObserver(link) as observer:
        assert observer.get_last_values() == {"T": 1.0}


def test_the_token_is_the_given_the_environments_or_the_kept_one(serve, monkeypatch, tmp_path):
    port = serve().port
    token = access.user_token()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(RemoteError, match="a token is needed"):
        RemoteObserver("127.0.0.1", port).get_last_values()
    assert RemoteObserver("127.0.0.1", port, token=token).get_last_values() == {}
    monkeypatch.setenv("PYMANIP_RUN_TOKEN", token)
    assert RemoteObserver("127.0.0.1", port).get_last_values() == {}
    monkeypatch.delenv("PYMANIP_RUN_TOKEN")
    access.keep_token(access.Address("127.0.0.1", port), token)
    assert RemoteObserver("127.0.0.1", port).get_last_values() == {}
    assert (tmp_path / "elsewhere/pymanip-run/hosts.json").stat().st_mode & 0o777 == 0o600


def test_the_own_token_is_not_sent_to_other_computers(monkeypatch):
    from pymanip_run.observe import token_for

    monkeypatch.delenv("PYMANIP_RUN_TOKEN", raising=False)
    token = access.user_token()
    assert token_for(access.parse_address("localhost")) == token
    assert token_for(access.parse_address("127.0.0.1")) == token
    assert token_for(access.parse_address("labpc.example.org")) is None
    assert token_for(access.parse_address("localhost.example.org")) is None


def test_a_token_kept_for_an_encrypted_server_is_never_sent_in_clear(monkeypatch, tmp_path):
    from pymanip_run.observe import token_for

    monkeypatch.delenv("PYMANIP_RUN_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    token = access.new_token()
    access.keep_token(access.parse_address("https://labpc:6913/"), token)
    assert token_for(access.parse_address("http://labpc:6913/")) is None
    assert token_for(access.parse_address("labpc")) is None
    assert token_for(access.parse_address("https://labpc:6913/")) == token
    assert RemoteObserver("labpc").url == "https://labpc:6913", "encrypted once is encrypted again"
    assert RemoteObserver("labpc").address.token == token
    assert RemoteObserver("http://labpc:6913").address.token is None
    access.keep_token(access.parse_address("other"), token)
    assert token_for(access.parse_address("other")) == token
    assert RemoteObserver("other").url == "http://other:6913"


def test_what_is_kept_of_hosts_may_be_damaged(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "pymanip-run"
    folder.mkdir()
    for text in ("", "[1]", '{"labpc:6913": 7}', '{"labpc:6913": {"token": 5}}', "\0"):
        (folder / "hosts.json").write_text(text)
        assert access.kept_token(access.parse_address("labpc")) is None
        assert not access.is_encrypted(access.parse_address("labpc"))


# -- errors -------------------------------------------------------------------------------------


def test_nobody_there(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(
        UnreachableError, match=rf"http://127.0.0.1:{port}: nobody listens there; .*run"
    ) as caught:
        RemoteObserver("127.0.0.1", port).get_last_values()
    assert caught.value.kind == "refused"
    assert isinstance(caught.value, ConnectionError)


def test_a_wrong_token(serve):
    with pytest.raises(
        RefusedError, match=r"token is not the one of this run; .*pymanip-run token"
    ) as caught:
        RemoteObserver("127.0.0.1", serve().port, token=access.new_token()).get_last_values()
    assert caught.value.status == 401


def test_an_unknown_name():
    with pytest.raises(UnreachableError, match=r"not known|no answer"):
        RemoteObserver("no-such-host.invalid", timeout=5).get_last_values()


class Strange:
    """A server that answers as it was told."""

    def __init__(self, *parts, pause=0.0):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._parts, self._pause = parts, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    for part in self._parts:
                        connection.sendall(part)
                        if self._over.wait(self._pause):
                            return
                except OSError:
                    pass

    def close(self):
        self._over.set()
        self._socket.close()


DRIBBLE = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 1000]


HEAD = [b"HTTP/1.1 200 OK\r\nX-Long: ", *[b"x"] * 1000]


@pytest.mark.parametrize(("parts", "pause", "words"), [
    ([b""], 30, "no answer within 0.5 s"), (DRIBBLE, 0.05, "no answer within 0.5 s"), (HEAD, 0.05, "no answer within 0.5 s"),
    ([b"SSH-2.0-OpenSSH_9.2\r\n"], 0, "no pymanip-run"), ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"], 0, "no pymanip-run"),
    ([], 0, "going on|hung up|closed"), ([b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"], 0, "answers 500"),
    ([b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"], 0, "cut off"), ([b"\x00" * 70000], 0, "no pymanip-run"),
    ([b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'], 0, "no pymanip-run"), ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"], 0, "no pymanip-run"),
])  # fmt: skip
def test_a_strange_server_is_an_error_within_the_time(parts, pause, words):
    server = Strange(*parts, pause=pause)
    began = time.monotonic()
    try:
        with pytest.raises(RemoteError, match=words) as caught:
            RemoteObserver("127.0.0.1", server.port, timeout=0.5).get_last_values()
    finally:
        server.close()
    assert time.monotonic() - began < 3
    assert f"127.0.0.1:{server.port}" in str(caught.value)


def test_a_computer_that_is_off_is_an_error_within_the_time():
    began = time.monotonic()
    with pytest.raises(RemoteError):
        RemoteObserver("127.255.255.254", 9, timeout=0.5).get_last_values()
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            held.append(one)
        with pytest.raises(UnreachableError, match=r"no answer within 0.5 s"):
            RemoteObserver("127.0.0.1", full.getsockname()[1], timeout=0.5).get_last_values()
        for one in held:
            one.close()
    assert time.monotonic() - began < 5


def test_a_connection_that_was_closed_meanwhile_is_made_again(serve, session):
    session.add_entry(T=1.0)
    client = serve()
    with RemoteObserver("127.0.0.1", client.port) as observer:
        observer.get_last_values()
        observer._connection._http.sock.sock.shutdown(socket.SHUT_RDWR)
        assert observer.get_last_values() == {"T": 1.0}


def test_a_remark_after_a_pause_arrives(serve, session, monkeypatch):
    """The server closes a connection over which nothing is asked; a post is not sent twice."""
    monkeypatch.setattr("pymanip_run.web.server.KEEPALIVE_SECONDS", 0.05)
    with RemoteObserver("127.0.0.1", serve().port) as observer:
        observer.info()
        kept = observer._connection._http.sock.sock
        assert select.select([kept], [], [], 30)[0], "the server keeps the connection"
        observer.note("after a pause")
    assert [event.text for event in session.events()] == ["after a pause"]


def test_where_no_token_is_needed_the_own_one_does_no_harm(serve, session):
    session.add_entry(T=1.0)
    port = serve(Policy("none")).port
    assert access.user_token()
    with RemoteObserver("127.0.0.1", port) as observer:
        assert observer.get_last_values() == {"T": 1.0}


def test_an_encrypted_server_is_asked_encrypted_and_one_of_unknown_certificate_not(serve):
    client = serve()
    with pytest.raises(UnreachableError, match=r"encrypted|https"):
        RemoteObserver("127.0.0.1", client.port, tls=True, timeout=3).get_last_values()
    assert ssl


@pytest.mark.needs_system("openssl")
def test_a_server_whose_certificate_is_known_is_read_encrypted(
    serve, session, tmp_path, monkeypatch
):
    import subprocess

    from pymanip_run.session.serving import _context

    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
        capture_output=True, check=True,
    )  # fmt: skip
    session.add_entry(T=1.0)
    link = serve(Policy(tls=_context((cert, key)))).server.link
    assert link.startswith("https://localhost:")
    with pytest.raises(UnreachableError, match=r"no encrypted connection .*SSL_CERT_FILE"):
        RemoteObserver(link).get_last_values()
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with RemoteObserver(link) as observer:
        assert observer.get_last_values() == {"T": 1.0}


@pytest.mark.parametrize("timeout", [0, -1, math.nan])
def test_a_timeout_is_above_zero(timeout):
    with pytest.raises(UsageError, match="timeout"):
        RemoteObserver("labpc", timeout=timeout)


def test_control(serve, session):
    from pymanip_run.session.serving import Control
    from pymanip_run.web.settings import Tunable

    control = Control(session)
    session.save_parameter(setpoint=25.0)
    client = serve(
        Policy(control=True),
        stop=control.stop,
        set_parameter=control.set_parameter,
        tunable={"setpoint": Tunable(10, 60)},
    )
    with RemoteObserver("127.0.0.1", client.port) as reader:
        refused = pytest.raises(RemoteError, match=r"only reads; .*--control")
        with refused:
            reader.set_parameter("setpoint", 30)
    with RemoteObserver("127.0.0.1", client.port, token=access.user_token(control=True)) as one:
        assert one.set_parameter("setpoint", 30).text == "setpoint: 25.0 → 30.0"
        assert one.set_parameter("setpoint", 30) is None
        with pytest.raises(RemoteError, match="within 10 … 60"):
            one.set_parameter("setpoint", 3)
        one.stop("enough")
    assert "enough" in internals(session).stop.reason
