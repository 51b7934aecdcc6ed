"""Real sockets under a virtual clock: who is owed an answer, and who is not."""

import asyncio
import os
import socket
import ssl
import subprocess
import threading
from contextlib import asynccontextmanager, suppress
from time import sleep as real_sleep

import aiohttp
import pytest
from helpers_virtual import HOUR, kinds, process_server, run, thread_server

from pymanip_run.runtime import virtual_waiting


async def ask(reader, writer, question=b"T?\n"):
    writer.write(question)
    return await asyncio.wait_for(reader.readline(), HOUR)


@asynccontextmanager
async def connected(address):
    if isinstance(address, tuple):
        reader, writer = await asyncio.open_connection(*address)
    else:
        reader, writer = await asyncio.open_unix_connection(address)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def questions(address, count=3):
    async def main():
        answers = []
        async with connected(address) as streams:
            for _ in range(count):
                answers.append(await ask(*streams))
                await asyncio.sleep(100)
        return answers

    return main


def test_a_server_in_another_thread_is_waited_for():
    with thread_server(b"21.5\n") as address:
        answers, elapsed, loop = run(questions(address))
    assert answers == [b"21.5\n"] * 3
    assert elapsed == pytest.approx(300, abs=50), "and between the questions nobody is"
    assert "answer" in kinds(loop)


def test_a_server_in_another_process_is_waited_for():
    with process_server() as address:
        answers, elapsed, loop = run(questions(address))
    assert answers == [b"21.5\n"] * 3
    assert elapsed == pytest.approx(300, abs=50)
    assert "answer" in kinds(loop)


def test_a_unix_socket_is_waited_for(tmp_path):
    path = str(tmp_path / "s")
    with thread_server(b"21.5\n", family=socket.AF_UNIX, address=path) as address:
        answers, elapsed, _ = run(questions(address))
    assert answers == [b"21.5\n"] * 3
    assert elapsed == pytest.approx(300, abs=50)


def test_the_rest_of_an_answer_is_waited_for():
    with thread_server(b"21", b".", b"5\n") as address:
        answers, elapsed, _ = run(questions(address))
    assert answers == [b"21.5\n"] * 3
    assert elapsed == pytest.approx(300, abs=50)


def test_an_unwritten_socket_that_is_read_does_not_hold_the_clock():
    async def main():
        async with connected(address) as (reader, _):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readline(), HOUR)

    with thread_server(b"x\n", delay=1.0, unasked=True) as address:
        _, elapsed, loop = run(main)
    assert elapsed == pytest.approx(HOUR)
    assert kinds(loop) <= {"connection"}


def test_a_stream_that_nobody_reads_is_not_waited_for():
    async def main():
        async with connected(address) as (_, writer):
            writer.write(b"OUTPUT ON\n")
            await asyncio.sleep(HOUR)

    with thread_server(b"x\n", delay=0.2) as address:
        _, elapsed, loop = run(main)
    assert elapsed == HOUR
    assert "answer" not in kinds(loop)


def test_an_answer_that_does_not_come_is_given_up_and_named(monkeypatch):
    monkeypatch.setattr("pymanip_run.runtime.virtual_waiting.PATIENCE", 0.6)

    async def main():
        async with connected(address) as (reader, writer):
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await ask(reader, writer)

    with thread_server() as address:
        _, elapsed, loop = run(main)
    assert elapsed == pytest.approx(3 * HOUR, abs=2)
    answer = next(cost for cost in loop.costs if cost.kind == "answer")
    assert answer.place == f"answer from 127.0.0.1:{address[1]}"
    assert 0.6 <= answer.seconds < 5, "a connection that never answered is not waited for again"


def test_a_slow_answer_may_come_too_late_in_time_that_follows_real_time():
    async def main():
        async with connected(address) as (reader, writer):
            writer.write(b"T?\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readline(), 0.1)

    with thread_server(b"21.5\n", delay=1.5) as address:
        _, elapsed, _ = run(main)
    assert elapsed == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("unix", [False, True])
def test_an_instrument_simulated_in_the_loop_costs_no_real_time(unix, tmp_path):
    async def instrument(reader, writer):
        while await reader.readline():
            await asyncio.sleep(1.5)
            writer.write(b"21.5\n")
        writer.close()

    async def main():
        if unix:
            server = await asyncio.start_unix_server(instrument, address := str(tmp_path / "s"))
        else:
            server = await asyncio.start_server(instrument, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
        async with server, connected(address) as streams:
            return [await ask(*streams) for _ in range(100)]

    answers, elapsed, loop = run(main)
    assert answers == [b"21.5\n"] * 100
    assert elapsed == pytest.approx(150, abs=1)
    assert kinds(loop) <= {"connection"}


def test_a_server_that_waits_for_clients_does_not_hold_the_clock():
    async def main():
        async def greet(reader, writer):
            writer.write(b"hello\n")  # written to, but accepted
            try:
                await asyncio.wait_for(reader.readline(), HOUR)
            except TimeoutError:
                writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            with socket.create_connection(server.sockets[0].getsockname()):
                await asyncio.sleep(2 * HOUR)

    _, elapsed, loop = run(main)
    assert elapsed == 2 * HOUR
    assert loop.costs == []


def test_both_ends_of_a_pair_in_the_loop():
    async def main():
        one, other = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=one)
        far_reader, far_writer = await asyncio.open_connection(sock=other)

        async def answer():
            await far_reader.readline()
            await asyncio.sleep(60)
            far_writer.write(b"ok\n")

        said, _ = await asyncio.gather(ask(reader, writer), answer())
        for end in (writer, far_writer):
            end.close()
            await end.wait_closed()
        return said

    said, elapsed, loop = run(main)
    assert said == b"ok\n"
    assert elapsed == 60
    assert "answer" not in kinds(loop)


def test_a_socket_without_streams_is_waited_for():
    async def main():
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            answers = []
            for _ in range(3):
                await loop.sock_sendall(sock, b"T?\n")
                answers.append(await asyncio.wait_for(loop.sock_recv(sock, 100), HOUR))
                await asyncio.sleep(100)
        return answers

    with thread_server(b"21.5\n") as address:
        answers, elapsed, _ = run(main)
    assert answers == [b"21.5\n"] * 3
    assert elapsed == pytest.approx(300, abs=50)


def test_accepted_sockets_without_streams_are_not_waited_for():
    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            with socket.create_connection(listener.getsockname()):
                connection, _ = await loop.sock_accept(listener)
                with connection:
                    await loop.sock_sendall(connection, b"hello")
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(loop.sock_recv(connection, 100), HOUR)

    _, elapsed, loop = run(main)
    assert elapsed == HOUR
    assert loop.costs == []


class Client(asyncio.Protocol):
    def __init__(self):
        self.got = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.write(b"T?\n")

    def data_received(self, data):
        self.got.set_result(data)


def test_a_protocol_of_its_own_is_waited_for():
    async def main():
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_connection(Client, *address)
        try:
            return await asyncio.wait_for(client.got, HOUR)
        finally:
            transport.close()
            await asyncio.sleep(0)

    with thread_server(b"21.5\n") as address:
        got, elapsed, _ = run(main)
    assert got == b"21.5\n"
    assert elapsed < 60


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, address):
        self.got.set_result(data)


def test_a_datagram_is_waited_for():
    def serve():
        _, client = server.recvfrom(100)
        server.sendto(b"21.5", client)

    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=server.getsockname()
        )
        transport.sendto(b"T?")
        try:
            return await asyncio.wait_for(protocol.got, HOUR)
        finally:
            transport.close()
            await asyncio.sleep(0)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        got, elapsed, _ = run(main)
        thread.join(30)
    assert got == b"21.5"
    assert elapsed < 60


def test_a_socket_that_waits_to_be_writable_holds_the_clock():
    def drain():
        real_sleep(0.1)
        while other.recv(1 << 20):
            pass

    async def main():
        _, writer = await asyncio.open_connection(sock=one)
        writer.write(bytes(1 << 24))
        await asyncio.wait_for(writer.drain(), HOUR)
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), HOUR)

    one, other = socket.socketpair()
    with other:
        thread = threading.Thread(target=drain, daemon=True)
        thread.start()
        _, elapsed, loop = run(main)
        thread.join(30)
    assert elapsed < 60
    assert "writing" in kinds(loop)


def test_a_refused_connection_is_refused_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        async def main():
            with pytest.raises(ConnectionRefusedError):
                await asyncio.wait_for(asyncio.open_connection(*unused.getsockname()), HOUR)

        assert run(main)[1] < 60


def test_a_connection_that_answers_again_is_waited_for_again(monkeypatch):
    async def main():
        async with connected(address) as (reader, writer):
            monkeypatch.setattr(virtual_waiting, "PATIENCE", 0.6)
            with pytest.raises(TimeoutError):
                await ask(reader, writer)
            monkeypatch.setattr(virtual_waiting, "PATIENCE", 60)
            await asyncio.to_thread(real_sleep, 1)  # the answer comes after all
            return await reader.readline(), await ask(reader, writer)

    with thread_server(b"21.5\n", delay=0.8) as address:
        answers, _, _ = run(main)
    assert answers == (b"21.5\n", b"21.5\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(command.split(), cwd=folder, capture_output=True, check=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.needs_system("openssl")
def test_an_encrypted_connection_is_waited_for(certificate):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*certificate)
    client_side = ssl.create_default_context(cafile=certificate[0])

    def serve():
        plain, _ = listener.accept()
        real_sleep(0.05)
        with (
            server_side.wrap_socket(plain, server_side=True) as connection,
            suppress(OSError),  # the client does not say goodbye
        ):
            while connection.recv(100):
                real_sleep(0.02)
                connection.sendall(b"21.5\n")

    async def main():
        reader, writer = await asyncio.open_connection(
            *listener.getsockname(), ssl=client_side, server_hostname="localhost"
        )
        answers = []
        for _ in range(3):
            answers.append(await ask(reader, writer))
            await asyncio.sleep(100)
        writer.transport.abort()
        await asyncio.sleep(1)
        return answers

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        answers, elapsed, _ = run(main)
        thread.join(30)
    assert answers == [b"21.5\n"] * 3
    assert elapsed == pytest.approx(300, abs=50)


def test_a_descriptor_that_is_used_again_owes_nothing():
    async def main():
        for _ in range(3):
            async with connected(address_of[0]) as (_, writer):
                writer.write(b"OUTPUT ON\n")
            read, write = os.pipe()  # the same number as the socket had
            loop = asyncio.get_running_loop()
            loop.add_reader(read, print)
            await asyncio.sleep(HOUR)
            loop.remove_reader(read)
            os.close(read)
            os.close(write)
            break

    with thread_server(b"x\n") as address:
        address_of = [address]
        _, elapsed, loop = run(main)
    assert elapsed == pytest.approx(HOUR, abs=5)
    assert "answer" not in kinds(loop)


def test_the_body_of_an_http_answer_is_waited_for_like_its_head():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"

    async def main():
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            answers = []
            for _ in range(3):
                async with http.get("http://{}:{}/".format(*address)) as answer:
                    answers.append(await answer.text())
                await asyncio.sleep(HOUR)
            return answers

    with thread_server(head, b"21", b".5") as address:
        answers, elapsed, loop = run(main)
    assert answers == ["21.5"] * 3
    assert elapsed == pytest.approx(3 * HOUR, abs=1)
    assert "answer" in kinds(loop)
