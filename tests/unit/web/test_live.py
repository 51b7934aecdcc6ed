"""The live stream."""

import asyncio
import socket
import threading
import time

import aiohttp
import pytest

from pymanip_run import AsyncSession, access
from pymanip_run.web.settings import Policy


@pytest.fixture
def session():
    with AsyncSession(verbose=False) as sesn:
        yield sesn


class Listener:
    """A connected listener."""

    def __init__(self, client, **options):
        self.client = client
        self.options = options

    async def __aenter__(self):
        self.http = aiohttp.ClientSession()
        token = self.options.pop("token", self.client.server.tokens.link_token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= self.options.pop("headers", {})
        after = self.options.pop("after", None)
        url = f"http://127.0.0.1:{self.client.port}/api/v1/live" + (
            f"?after={after}" if after else ""
        )
        try:
            self.socket = await self.http.ws_connect(url, headers=headers, **self.options)
        except BaseException:
            await self.http.close()
            raise
        return self

    async def __aexit__(self, *_):
        await self.socket.close()
        await self.http.close()

    async def next(self, kind=None):
        async with asyncio.timeout(10):
            while True:
                message = await self.socket.receive_json()
                if kind is None or message["type"] == kind:
                    return message


async def test_it_greets_and_then_tells_what_is_new(client, session):
    async with Listener(client) as one:
        hello = await one.next()
        assert hello["type"] == "hello"
        assert hello["title"] == "Rayleigh-Bénard cell"
        session.add_entry(T=1.5)
        session.note("remark", source="me")
        seen = {}
        while len(seen) < 2:
            message = await one.next()
            seen.setdefault(message["type"], message)
            assert message["next"]
        assert seen["entry"]["values"] == {"T": 1.5}
        assert seen["entry"]["t"] == session["T"].timestamps[0]
        assert {k: seen["event"][k] for k in ("kind", "source", "text")} == {
            "kind": "note",
            "source": "me",
            "text": "remark",
        }


async def test_who_comes_back_with_the_cursor_has_missed_nothing(client, session):
    taken, cursor = [], None
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            session.add_entry(n=number)
            number += 1
            time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(6):
            async with Listener(client, after=cursor) as one:
                for _ in range(3):
                    message = await one.next()
                    cursor = message["next"]
                    if message["type"] == "entry":
                        taken += message["series"]["n"]["v"]
            await asyncio.sleep(0.05)
    finally:
        stop.set()
        await asyncio.to_thread(writer.join)
    assert len(taken) > 100
    assert taken == [taken[0] + k for k in range(len(taken))]


async def test_there_are_at_most_ten_messages_a_second(client, session):
    async with Listener(client) as one:
        await one.next("hello")
        stop = threading.Event()

        def write():
            while not stop.is_set():
                session.add_entry(n=1)
                session.note("x")
                time.sleep(0.002)

        writer = threading.Thread(target=write)
        writer.start()
        began, count = time.monotonic(), 0
        try:
            while time.monotonic() - began < 2:
                await one.next()
                count += 1
        finally:
            stop.set()
            await asyncio.to_thread(writer.join)
        assert count <= 10 * (time.monotonic() - began) + 2


@pytest.mark.parametrize("options", [{"token": None}, {"token": "wrong"}, {"headers": {"Origin": "http://evil.example"}},
                                     {"headers": {"Sec-Fetch-Site": "cross-site"}}, {"after": "nonsense"}])  # fmt: skip
async def test_who_may_not_is_not_let_in(client, options):
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with Listener(client, **options):
            pass


async def test_a_page_of_another_server_cannot_listen_even_without_tokens(serve):
    client = serve(Policy("none"))
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with Listener(client, token=None, headers={"Origin": "http://evil.example"}):
            pass
    async with Listener(
        client, token=None, headers={"Origin": f"http://127.0.0.1:{client.port}"}
    ) as one:
        assert (await one.next())["type"] == "hello"


async def test_who_came_with_an_old_token_is_sent_away(client):
    async with Listener(client) as one:
        await one.next("hello")
        access.rotate_token()
        async with asyncio.timeout(8):
            while True:
                message = await one.socket.receive()
                if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    break


async def test_who_sends_a_flood_is_sent_away(client, session):
    async with Listener(client) as one:
        await one.next("hello")
        async with asyncio.timeout(10):
            try:
                for _ in range(100_000):
                    await one.socket.send_str("x" * 1000)
            except ConnectionError:
                pass
            while not one.socket.closed:
                await one.socket.receive()
        assert one.socket.close_code in (1001, 1006, 1008)
    assert (await asyncio.to_thread(client.get, "/api/v1/runs")).status == 200


async def test_who_sends_a_flood_of_pings_is_sent_away(client, session):
    async with Listener(client) as one:
        await one.next("hello")
        await one.socket.ping()
        async with asyncio.timeout(10):
            try:
                for _ in range(1000):
                    await one.socket.ping()
            except ConnectionError:
                pass
            while not one.socket.closed:
                await one.socket.receive()


async def test_a_message_that_is_too_large_ends_it(client):
    async with Listener(client) as one:
        await one.next("hello")
        await one.socket.send_str("x" * 100_000)
        async with asyncio.timeout(10):
            while not one.socket.closed:
                await one.socket.receive()


async def test_the_end_of_the_run_is_told(serve, session):
    client = serve(progress=lambda: {"state": "stopping", "reason": "all tasks ended", "exit_code": 0, "started": 0.0,
                                     "duration": None, "tasks": [], "sweeps": [], "alarms": []})  # fmt: skip
    async with Listener(client) as one:
        await one.next("hello")
        closing = asyncio.create_task(asyncio.to_thread(client.server.close))
        message = await one.next("state")
        while message["state"] != "finished":
            message = await one.next("state")
        assert message["reason"] == "all tasks ended"
        await closing


def test_without_an_upgrade_it_is_refused(client):
    assert client.get("/api/v1/live").error == "no_websocket"


async def test_an_event_alone_is_told_once(client, session):
    async with Listener(client) as one:
        await one.next("hello")
        session.note("first")
        assert (await one.next())["text"] == "first"
        await asyncio.sleep(0.5)
        session.note("second")
        assert (await one.next())["text"] == "second"


async def test_who_comes_back_is_told_the_events_of_the_meantime(client, session, monkeypatch):
    from pymanip_run.web import recent

    monkeypatch.setattr(recent, "UNWATCHED_SECONDS", 0.1)
    async with Listener(client) as one:
        cursor = (await one.next("hello"))["next"]
    await asyncio.to_thread(wait_until_nobody_listens, session)
    session.add_entry(T=1.0)
    session.note("while nobody listened")
    session.add_entry(T=2.0)
    async with Listener(client, after=cursor) as one:
        assert (await one.next("event"))["text"] == "while nobody listened"
        assert (await one.next("entry"))["series"]["T"]["v"] == [1.0, 2.0]


def wait_until_nobody_listens(session):
    from pymanip_run.session import internals

    deadline = time.monotonic() + 10
    while internals(session).feed.active:
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_what_is_not_finite_is_null_and_said(client, session):
    async with Listener(client) as one:
        await one.next("hello")
        session.add_entry(T=float("nan"), P=float("-inf"), Q=1.0)
        message = await one.next("entry")
        assert message["values"] == {"T": None, "P": None, "Q": 1.0}
        assert message["nonfinite"] == {"T": [[0, "nan"]], "P": [[0, "-inf"]]}


async def test_all_that_was_recorded_is_told_before_the_end(serve, session):
    client = serve(progress=lambda: dict(ENDED))
    taken = []
    async with Listener(client) as one:
        await one.next("hello")
        session.add_entry(n=-1.0)
        taken += (await one.next("entry"))["series"]["n"]["v"]
        for number in range(5000):
            session.add_entry(n=number)
        closing = threading.Thread(target=client.server.close)
        closing.start()
        while (message := await one.next())["type"] != "state":
            taken += message["series"]["n"]["v"]
        await asyncio.to_thread(closing.join)
    assert (message["state"], message["reason"]) == ("finished", "enough")
    assert taken == [float(number) for number in range(-1, 5000)]


ENDED = {"state": "stopping", "reason": "enough", "exit_code": 0, "started": None, "duration": None,
         "tasks": [], "sweeps": [], "alarms": []}  # fmt: skip


async def test_the_last_values_come_with_the_news_of_the_end(serve, session):
    client = serve(progress=lambda: dict(ENDED))
    session.add_entry(n=0.0)
    cursor = (await asyncio.to_thread(client.get, "/api/v1/snapshot")).json["next"]
    waiting = asyncio.create_task(
        asyncio.to_thread(client.get, f"/api/v1/state?wait=20&after={cursor}")
    )
    await asyncio.sleep(0.3)
    session.note("the last remark")
    session.add_entry(n=1.0)
    await asyncio.to_thread(client.server.close)
    found = (await waiting).json
    assert (found["state"], found["reason"], found["exit_code"]) == ("finished", "enough", 0)
    assert found["series"]["n"]["v"] == [1.0]
    assert [event["text"] for event in found["events"]] == ["the last remark"]
    assert found["more"] is False


async def test_a_silent_listener_is_asked_whether_it_is_there(serve, session, monkeypatch):
    from pymanip_run.web import live

    monkeypatch.setattr(live, "HEARTBEAT", 0.3)
    client = serve()
    async with Listener(client, autoping=False) as one:
        async with asyncio.timeout(10):
            while (message := await one.socket.receive()).type is not aiohttp.WSMsgType.PING:
                assert message.type is aiohttp.WSMsgType.TEXT
        # It does not answer: after another half of the time it is taken for gone.
        async with asyncio.timeout(10):
            while (await one.socket.receive()).type not in CLOSED:
                pass


CLOSED = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}  # fmt: skip


async def test_a_listener_that_takes_nothing_costs_no_memory_and_delays_nobody(
    serve, session, monkeypatch
):
    """What it does not take is not made: it is kept where it is kept for all."""
    from pymanip_run.web import live

    monkeypatch.setattr(live, "STUCK_SECONDS", 1.0)
    client = serve()
    names = {f"variable_{k}": float(k) for k in range(200)}
    async with Listener(client) as slow, Listener(client) as quick:
        transport = slow.socket._response.connection.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport.pause_reading()
        deadline = time.monotonic() + 60
        while gate_of(client).connections > 1:  # it is ended, and the other one is not
            assert time.monotonic() < deadline
            for _ in range(25):
                session.add_entry(names)
            await quick.next("entry")
            waiting = [c.transport.get_write_buffer_size() for c in gate_of(client)._connections]
            assert max(waiting, default=0) < 8 << 20


def gate_of(client):
    """The gate of a server, of which there is one in this process."""
    import gc

    from pymanip_run.web.gate import Gate

    found = [one for one in gc.get_objects() if isinstance(one, Gate)]
    return next(g for g in found if any(s.fileno() >= 0 and s.getsockname()[1] == client.port for s in g._listeners))  # fmt: skip
