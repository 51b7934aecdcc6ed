"""The live stream."""

import asyncio
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
