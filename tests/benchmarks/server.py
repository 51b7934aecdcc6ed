"""Requests a second, and how late the run's loop comes, while clients ask its server."""

import asyncio
import json
import os
import selectors
import socket
import sys
import threading
import time
from pathlib import Path

from measuring import PYMANIP, Options, Table, Target, commands, interleave, scaled

TITLE = "Clients that ask"
TEXT = """\
1, 10 and 50 connections ask for the last values of 10 variables (`/api/logged_last_values`), or for the latest 1000 points
of one (`/api/data_from_ts`), each again as soon as it has its answer, while the run logs them every 50 ms; a ticker of 10 ms
in the run's loop notes how late it comes. *hello*: an aiohttp server that answers a constant of the same length, in a thread
of its own as well. *hello, own loop*: the same in the loop of the ticker."""
REMARK = (
    "The clients take the second core; what is left is shared by the interpreter's two threads."
)
CLIENTS = (1, 10, 50)
LAST, HISTORY = "last values", "1000 points"
POINTS = 1000
NAMES = [f"variable_{i}" for i in range(10)]
PERIOD = 0.010
#: As long as the answers.
LENGTHS = {LAST: 900, HISTORY: 37_000}


async def ticker(late, duration):
    loop = asyncio.get_running_loop()
    start = loop.time() + PERIOD
    tick = 0
    while tick * PERIOD < duration:
        tick += 1
        due = start + tick * PERIOD
        await asyncio.sleep(max(0.0, due - loop.time()))
        late.append(loop.time() - due)
        tick = max(tick, int((loop.time() - start) / PERIOD))


def load(port, request, count, duration):
    """Ask over and over on so many connections; print the requests a second."""
    selector = selectors.DefaultSelector()
    waiting = {}
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(request)
        waiting[one] = [b"", None]
        selector.register(one, selectors.EVENT_READ)
    answers, began = 0, time.monotonic()
    while time.monotonic() - began < duration:
        for key, _ in selector.select(1):
            one, state = key.fileobj, waiting[key.fileobj]
            state[0] += one.recv(1 << 18)
            if state[1] is None and (end := state[0].find(b"\r\n\r\n")) >= 0:
                head = state[0][:end].lower()
                assert head.startswith(b"http/1.1 200"), head
                state[1] = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            if state[1] is not None and len(state[0]) >= state[1]:
                answers += 1
                waiting[one] = [b"", None]
                one.sendall(request)
    print(max(answers, 1) / (time.monotonic() - began))


def request_of(path, headers="", body=None):
    """Return the bytes of a request."""
    lines = [
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *filter(None, [headers]),
    ]
    sent = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(sent)}"]
    return "\r\n".join([*lines, "", ""]).encode() + sent


async def beside(port, requests, duration):
    """Tick while clients ask for the one and then for the other; return what was found."""
    found = {}
    for kind, request in requests.items():
        for count in CLIENTS:
            late = []
            asking = await asyncio.create_subprocess_exec(
                sys.executable, __file__, "load", str(port), request.hex(), str(count), str(duration + 0.6),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            await asyncio.sleep(0.3)
            await ticker(late, duration)
            out = await asking.communicate()
            late.sort()
            clients = f"{kind}, {count} client{'s' if count > 1 else ''}"
            found[f"time per request: {clients}"] = 1e3 / float(out[0])
            found[f"lateness, p99: {clients}"] = late[int(len(late) * 0.99)] * 1e3
            found[f"lateness, most: {clients}"] = late[-1] * 1e3
    return found


HELLO = {kind: request_of(f"/{length}") for kind, length in LENGTHS.items()}


async def hello_server():
    from aiohttp import web

    bodies = {str(length): b"x" * length for length in LENGTHS.values()}

    async def hello(request):
        return web.Response(
            body=bodies[request.match_info["length"]], content_type="application/json"
        )

    app = web.Application()
    app.add_routes([web.get("/{length}", hello)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner.addresses[0][1]


def hello(duration):
    ready = []

    def work():
        loop = asyncio.new_event_loop()
        ready.append(loop.run_until_complete(hello_server()))
        loop.run_forever()

    threading.Thread(target=work, daemon=True).start()
    while not ready:
        time.sleep(0.01)
    return asyncio.run(beside(ready[0], HELLO, duration))


def hello_in_the_loop(duration):
    async def main():
        return await beside(await hello_server(), HELLO, duration)

    return asyncio.run(main())


def asked(sesn, headers=""):
    """Fill a session with what is asked for later; return the requests."""
    began = time.time() - 1
    for number in range(POINTS):
        sesn.add_entry(dict.fromkeys(NAMES, 20.0 + number / 7))
    return {
        LAST: request_of("/api/logged_last_values", headers),
        HISTORY: request_of("/api/data_from_ts", headers, {"name": NAMES[0], "last_ts": began}),
    }


def ours(duration):
    os.environ["XDG_CONFIG_HOME"] = str(Path.cwd())
    from pymanip_run import AsyncSession, access, every
    from pymanip_run.session import internals

    found = {}

    async def log(sesn):
        sesn.add_entry(dict.fromkeys(NAMES, 20.0))

    async def tick(sesn):
        port = int(internals(sesn).address.rpartition(":")[2])
        found.update(await beside(port, requests, duration))
        sesn.ask_exit()

    with AsyncSession("data", verbose=False) as sesn:
        requests = asked(sesn, f"Authorization: Bearer {access.user_token()}")
        sesn.run(every(0.05, log), tick)
    return found


def pymanip(duration):
    from pymanip.asyncsession import AsyncSession

    found = {}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def log(sesn):
        sesn.add_entry(dict.fromkeys(NAMES, 20.0))
        await asyncio.sleep(0.05)

    async def tick(sesn):
        await asyncio.sleep(0.5)  # until the server is there
        found.update(await beside(port, requests, duration))
        sesn.ask_exit()

    with AsyncSession("data", verbose=False) as sesn:
        requests = asked(sesn)
        asyncio.run(sesn.monitor(log, tick, server_port=port))
    return found


SUBJECTS = {
    "hello": hello,
    "hello, own loop": hello_in_the_loop,
    "pymanip-run": ours,
    PYMANIP: pymanip,
}
TARGETS = {
    f"time per request: {LAST}, 50 clients": Target(
        "≥ 0.5 × hello (time per request ≤ 2 ×)", "pymanip-run", 2.0, "hello", REMARK
    ),
    f"lateness, p99: {LAST}, 50 clients": Target(
        "≤ 1.2 × hello's", "pymanip-run", 1.2, "hello", REMARK
    ),
}


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options, scaled(3, 1)), options.rounds)
    return [
        Table(
            quantity, "ms", "hello", values=values,
            targets=[TARGETS[quantity]] if quantity in TARGETS else (),
        )
        for quantity, values in sorted(found.items(), reverse=True)
    ]  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(int(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        print(json.dumps(SUBJECTS[sys.argv[1]](float(sys.argv[2]))), flush=True)
