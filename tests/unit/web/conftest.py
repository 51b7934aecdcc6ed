"""A real server on 127.0.0.1 that shows a session, and a client that sends exactly what it is told."""

import http.client
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from pymanip_run import AsyncSession
from pymanip_run.access import user_token
from pymanip_run.session import internals
from pymanip_run.web.ports import listen
from pymanip_run.web.server import Server
from pymanip_run.web.settings import Policy, Watched


class Answer:
    """What came back."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The code of a refusal, with the check that it can be read by a person."""
        error = self.json["error"]
        assert error["message"]
        assert "hint" in error
        return error["code"]


class Client:
    """Asks a server; with the user's token unless told otherwise."""

    def __init__(self, server):
        self.server = server
        self.port = server.port

    def ask(self, method, path, body=None, headers=None, *, token=True, timeout=20):
        sent = {"Authorization": f"Bearer {self.server.tokens.link_token}"} if token is True else {}
        if isinstance(token, str):
            sent = {"Authorization": f"Bearer {token}"}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, path, skip_host="Host" in sent, skip_accept_encoding=True)
            data = body.encode() if isinstance(body, str) else body
            if data is not None and "Content-Length" not in sent:
                sent["Content-Length"] = str(len(data))
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(data)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body, **options):
        return self.ask("POST", path, body, **options)

    def connect(self, timeout=20):
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)


def seconds_of(action):
    """Return how long something takes, without the time in which the machine stands still."""
    over, lost = threading.Event(), []

    def listen():
        last = time.monotonic()
        while not over.wait(0.01):
            now = time.monotonic()
            lost.append(max(0.0, now - last - 0.03))
            last = now
        lost.append(max(0.0, time.monotonic() - last - 0.03))

    listening = threading.Thread(target=listen)
    listening.start()
    began = time.monotonic()
    try:
        action()
        return time.monotonic() - began - sum(lost)
    finally:
        over.set()
        listening.join()


@pytest.fixture
def session(tmp_path):
    """A session in a file."""
    with AsyncSession(tmp_path / "cell", verbose=False, title="Rayleigh-Bénard cell") as sesn:
        yield sesn


@pytest.fixture
def watched(session):
    """What a server shows of the session."""
    inside = internals(session)

    def make(**changes):
        recorder = inside.recorder
        known = {
            "view": session, "title": "Rayleigh-Bénard cell", "feed": inside.feed,
            "now": recorder.now, "position": recorder.position, "note": recorder.note,
        }  # fmt: skip
        return Watched(**(known | changes))

    return make


@pytest.fixture
def serve(watched):
    """Start a server; returns its client. Afterwards no thread and no descriptor of it is left."""
    servers = []
    user_token()
    before = None

    def start(policy=None, host="127.0.0.1", **changes):
        nonlocal before
        before = before if before is not None else len(list(Path("/proc/self/fd").iterdir()))
        server = Server(watched(**changes), listen(host, 0), policy or Policy())
        servers.append(server)
        server.start()
        server.wait_until_ready()
        return Client(server)

    yield start
    for server in servers:
        assert seconds_of(server.close) < 1.0, "the server kept the run waiting"
    if before is not None:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2, "descriptors are left"


@pytest.fixture
def client(serve):
    """A client of a server as it is by default."""
    return serve()
