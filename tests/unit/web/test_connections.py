"""No client exhausts memory or descriptors, whatever it does with its connections."""

import asyncio
import json
import resource
import socket
import ssl
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from pymanip_run import AsyncSession
from pymanip_run.web import gate
from pymanip_run.web.settings import Policy

REQUEST = b"GET /api/v1/snapshot HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"


@pytest.fixture
def session():
    with AsyncSession(verbose=False) as sesn:
        sesn.add_entry(T=1.0)
        yield sesn


@pytest.fixture
def quick(monkeypatch):
    """Let what takes ten seconds take less."""
    monkeypatch.setattr(gate, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(gate, "SWEEP_SECONDS", 0.2)


def request_of(client):
    return REQUEST % client.server.tokens.link_token.encode()


def received(connection):
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_65th_connection_of_an_address_gets_503_and_is_told_when_to_come_again(client):
    held = [client.connect() for _ in range(64)]
    for one in held:
        one.sendall(request_of(client))
        assert b"200 OK" in one.recv(1 << 16)
    with client.connect() as next_one:
        next_one.sendall(request_of(client))
        answer = received(next_one)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_many_connections"
    held.pop().close()
    deadline = time.monotonic() + 5
    while client_status(client) != 200:
        assert time.monotonic() < deadline
    for one in held:
        one.close()


def client_status(client):
    try:
        return client.get("/api/v1/runs").status
    except OSError:
        return 0


def test_no_more_than_256_connections_of_all_addresses_together(serve, monkeypatch):
    monkeypatch.setattr(gate, "CONNECTIONS", 20)
    client = serve()
    held = []
    for number in range(20):
        one = socket.socket()
        one.bind((f"127.0.0.{number + 2}", 0))
        one.connect(("127.0.0.1", client.port))
        one.sendall(request_of(client))
        assert b"200 OK" in one.recv(1 << 16)
        held.append(one)
    with client.connect() as next_one:
        assert received(next_one).startswith(b"HTTP/1.1 503 ")
    for one in held:
        one.close()
    assert gate.PER_ADDRESS == 64


def test_2000_half_open_connections_take_no_descriptors_and_others_get_in_after_10_s(serve, quick):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5000:
        pytest.skip("too few descriptors for the test itself")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        client = serve()
        before = descriptors()
        held = []
        for number in range(2000):
            one = socket.create_connection(("127.0.0.1", client.port), 5)
            if number % 2:
                one.sendall(b"GET /api/v1/snapshot HTT")
            held.append(one)
        # 2000 are ours; of the server there are the 64 of this address, and those being refused.
        assert descriptors() - before - 2000 <= 64 + gate.REFUSING + 8
        deadline = time.monotonic() + 10
        while client_status(client) != 200:
            assert time.monotonic() < deadline, "those that say nothing keep others out for ever"
            time.sleep(0.05)
        for one in held:
            one.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_that_dribbles_its_request_is_not_waited_for(serve, quick):
    client = serve()
    began = time.monotonic()
    with client.connect(30) as one:
        try:
            for sign in b"GET /api/v1/snapshot HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1000:
                one.sendall(bytes([sign]))
                time.sleep(0.05)
        except OSError:
            pass
    assert 0.5 < time.monotonic() - began < 10


def test_a_body_that_does_not_come_is_waited_for_10_s_at_most(serve, monkeypatch):
    from pymanip_run.web import queries

    assert queries.BODY_SECONDS == 10.0
    monkeypatch.setattr(queries, "BODY_SECONDS", 0.5)
    client = serve()
    head = b"POST /api/v1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
    with client.connect() as one:
        one.sendall(
            head
            + b"Authorization: Bearer "
            + client.server.tokens.link_token.encode()
            + b"\r\n\r\n{"
        )
        began = time.monotonic()
        assert one.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 3


def test_the_routes_of_the_user_wait_no_longer_for_a_body(serve, monkeypatch):
    from aiohttp import web

    from pymanip_run.web import queries

    monkeypatch.setattr(queries, "BODY_SECONDS", 0.5)

    async def mine(request):
        return web.Response(body=await request.read())

    client = serve(custom_routes=[web.post("/mine", mine)], in_run=lambda answer: answer)
    kind = {"Content-Type": "application/json"}
    assert client.post("/mine", "{}", headers=kind).body == b"{}"
    assert client.post("/mine", "x" * 70_000, headers=kind).error == "too_large"
    began = time.monotonic()
    answer = client.ask("POST", "/mine", b"{", {**kind, "Content-Length": "1000"}, timeout=5)
    assert (answer.status, answer.error) == (408, "too_slow")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", ["/api/v1/notes", "/login", "/api/v1/snapshot", "/api/v1/nothing"])
def test_a_body_of_a_gigabyte_is_not_kept(client, declared, path):
    before = memory()
    framing = b"Content-Length: 1073741824" if declared else b"Transfer-Encoding: chunked"
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s\r\nAuthorization: Bearer %s\r\n\r\n"
    block = b" " * (1 << 20)
    sent = 0
    with client.connect() as one:
        one.sendall(head % (path.encode(), framing, client.server.tokens.link_token.encode()))
        try:
            while sent < 1 << 30:
                one.sendall(block if declared else b"%x\r\n%s\r\n" % (len(block), block))
                sent += len(block)
        except OSError:
            pass
    assert memory() - before < 50_000
    assert client.get("/api/v1/runs").status == 200


def memory():
    """Resident memory, kB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def test_100_kb_of_nested_json_are_refused(client):
    for body in ("[" * 100_000, '{"text":' * 5_000, "[" * 60_000):
        answer = client.post("/api/v1/notes", body, headers={"Content-Type": "application/json"})
        assert answer.status in (400, 413)
        assert answer.error in ("bad_json", "too_large")


@pytest.mark.parametrize("text", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\x00" * 100,
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"CONNECT evil.example:80 HTTP/1.1\r\nHost: x\r\n\r\n",
])  # fmt: skip
def test_what_is_no_request_is_refused_and_the_next_one_is_answered(client, text, caplog):
    with client.connect(10) as one:
        one.sendall(text)
        one.shutdown(socket.SHUT_WR)
        answer = received(one)
    assert b" 500 " not in answer[:20]
    assert b"Traceback" not in answer
    assert client.get("/api/v1/runs").status == 200
    assert "Traceback" not in caplog.text


def test_a_client_that_does_not_take_its_answers_is_ended(serve, session, monkeypatch, quick):
    monkeypatch.setattr(gate, "STUCK_SECONDS", 1.0)
    for number in range(50):
        session.add_entry({f"variable_{number}_{k}": 1.0 for k in range(40)})
    client = serve()
    before = memory()
    with client.connect() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(1)
        try:
            for _ in range(20_000):
                one.sendall(request_of(client))
        except OSError:
            pass
        deadline = time.monotonic() + 15
        try:
            one.settimeout(20)
            while one.recv(1 << 20):
                time.sleep(0.3)
                assert time.monotonic() < deadline
        except OSError:
            pass
    assert memory() - before < 80_000
    assert client.get("/api/v1/runs").status == 200


def test_a_long_record_is_taken_at_the_clients_own_pace(serve, session, monkeypatch):
    """What waits for all clients together is less than a record may have."""
    monkeypatch.setattr(gate, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(gate, "WAITING_BYTES", 4 << 20)
    session.add_dataset(frame=np.zeros(4 << 20))
    client = serve()
    with client.connect() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        head = REQUEST.replace(b"snapshot", b"datasets/frame/0.npy").replace(
            b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
        )
        one.sendall(head % client.server.tokens.link_token.encode())
        began = one.recv(1 << 10)
        time.sleep(0.5)  # a slow one
        whole = began + received(one)
    assert len(whole.partition(b"\r\n\r\n")[2]) == 128 + (32 << 20)


async def test_a_connection_that_ended_with_its_last_bytes_is_no_fault_at_the_end(monkeypatch):
    class Talker(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(bytes(8 << 20))
            transport.close()  # when all is taken

    monkeypatch.setattr(gate, "SWEEP_SECONDS", 60.0)  # it is not noticed before the end
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    served = gate.Gate([listener], Talker, None)
    served.start()
    with socket.create_connection(listener.getsockname()) as taker:
        assert len(await asyncio.to_thread(received, taker)) == 8 << 20
    await served.close()


def test_a_kept_connection_is_used_again(client):
    with client.connect() as one:
        for _ in range(5):
            one.sendall(request_of(client))
            assert one.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def tls(tmp_path):
    """A certificate for localhost, and the context of a server that has it."""
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return tmp_path / "cert.pem", tmp_path / "key.pem"


@pytest.mark.needs_system("openssl")
def test_with_a_certificate_all_is_encrypted(serve, tls):
    from pymanip_run.session.serving import _context

    client = serve(Policy(tls=_context(tls)))
    assert client.server.url.startswith("https://")
    trust = ssl.create_default_context(cafile=tls[0])
    with client.connect() as bare, trust.wrap_socket(bare, server_hostname="localhost") as one:
        one.sendall(request_of(client))
        assert one.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    with client.connect(5) as bare:
        bare.sendall(request_of(client))
        assert b"200 OK" not in received(bare), "nothing is answered unencrypted"


@pytest.mark.needs_system("openssl")
def test_encrypted_the_next_connection_is_told_503_as_well(serve, tls, monkeypatch):
    from pymanip_run.session.serving import _context

    monkeypatch.setattr(gate, "PER_ADDRESS", 3)
    monkeypatch.setattr(gate, "REFUSING_SECONDS", 5.0)
    client = serve(Policy(tls=_context(tls)))
    trust = ssl.create_default_context(cafile=tls[0])
    held = []
    for _ in range(3):
        held.append(trust.wrap_socket(client.connect(), server_hostname="localhost"))
        held[-1].sendall(request_of(client))
        assert held[-1].recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    for _ in range(2):
        with trust.wrap_socket(client.connect(), server_hostname="localhost") as one:
            answer = received(one)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 5" in answer
    with client.connect() as silent:
        silent.sendall(b"no handshake")
        assert b"503" not in received(silent)
    for one in held:
        one.close()


@pytest.mark.needs_system("openssl")
def test_handshakes_that_do_not_end_count_as_connections(serve, tls, quick):
    from pymanip_run.session.serving import _context

    client = serve(Policy(tls=_context(tls)))
    before = descriptors()
    held = [client.connect() for _ in range(150)]
    time.sleep(0.3)
    # The 64 of this address, and those who are told, by a handshake as well, that there are enough.
    assert descriptors() - before - 150 <= 64 + gate.REFUSING + 4
    trust = ssl.create_default_context(cafile=tls[0])
    deadline = time.monotonic() + 10
    while True:
        try:
            with (
                client.connect(5) as bare,
                trust.wrap_socket(bare, server_hostname="localhost") as one,
            ):
                one.sendall(request_of(client))
                assert one.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    for one in held:
        one.close()
