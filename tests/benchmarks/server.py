"""Requests a second, and how late the run's loop comes, while clients ask its server."""

import asyncio
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "Clients that ask for the last values"
TEXT = """\
50 connections ask for `/api/logged_last_values` of 10 variables, each again as soon as it has its answer, while the run
logs them every 50 ms; a ticker of 10 ms in the run's loop notes how late it comes. *hello*: an aiohttp server that answers
a constant of the same length, in a thread of its own as well. *hello, own loop*: the same in the loop of the ticker."""
REMARK = (
    "The clients take the second core; what is left is shared by the interpreter's two threads."
)
TARGETS = {
    "requests": [
        Target("≥ 0.5 × hello (time per request ≤ 2 ×)", "pymanip-run", 2.0, "hello", REMARK)
    ],
    "p99": [Target("≤ 1.2 × hello's", "pymanip-run", 1.2, "hello", REMARK)],
}
CLIENTS = 50
NAMES = [f"variable_{i}" for i in range(10)]
PERIOD = 0.010


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


def load(port, path, headers, duration):
    """Ask over and over; print the requests a second."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()
    selector = selectors.DefaultSelector()
    waiting = {}
    for _ in range(CLIENTS):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(request)
        waiting[one] = [b"", None]
        selector.register(one, selectors.EVENT_READ)
    count, began = 0, time.monotonic()
    while time.monotonic() - began < duration:
        for key, _ in selector.select(1):
            one, state = key.fileobj, waiting[key.fileobj]
            state[0] += one.recv(1 << 18)
            if state[1] is None and (end := state[0].find(b"\r\n\r\n")) >= 0:
                head = state[0][:end].lower()
                assert head.startswith(b"http/1.1 200"), head
                state[1] = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            if state[1] is not None and len(state[0]) >= state[1]:
                count += 1
                waiting[one] = [b"", None]
                one.sendall(request)
    print(count / (time.monotonic() - began))


def clients(port, path, headers, duration):
    return subprocess.Popen(
        [sys.executable, __file__, "load", str(port), path, headers, str(duration)],
        stdout=subprocess.PIPE,
        text=True,
    )


async def beside(port, path, headers, duration):
    """Tick while clients ask; return what was found."""
    late = []
    asking = clients(port, path, headers, duration + 1)
    await asyncio.sleep(0.5)
    await ticker(late, duration)
    out = await asyncio.to_thread(asking.communicate)
    late.sort()
    return {
        "requests": 1e6 / float(out[0]),
        "p50": late[len(late) // 2] * 1e3,
        "p99": late[int(len(late) * 0.99)] * 1e3,
    }


async def hello_server(stop=None):
    from aiohttp import web

    body = b"x" * 900

    async def hello(_):
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/hello", hello)])
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
    return asyncio.run(beside(ready[0], "/hello", "", duration))


def hello_in_the_loop(duration):
    async def main():
        return await beside(await hello_server(), "/hello", "", duration)

    return asyncio.run(main())


def ours(duration):
    os.environ["XDG_CONFIG_HOME"] = str(Path.cwd())
    from pymanip_run import AsyncSession, access, every
    from pymanip_run.session import internals

    found = {}

    async def log(sesn):
        sesn.add_entry(dict.fromkeys(NAMES, 20.0))

    async def tick(sesn):
        port = int(internals(sesn).address.rpartition(":")[2])
        headers = f"Authorization: Bearer {access.user_token()}\r\n"
        found.update(await beside(port, "/api/logged_last_values", headers, duration))
        sesn.ask_exit()

    with AsyncSession("data", verbose=False) as sesn:
        sesn.run(every(0.05, log), tick)
    return found


SUBJECTS = {"hello": hello, "hello, own loop": hello_in_the_loop, "pymanip-run": ours}
UNITS = {"requests": ("time per request, 50 clients", "µs"), "p50": ("lateness of the loop, p50", "ms"),
         "p99": ("lateness of the loop, p99", "ms")}  # fmt: skip


def measure(options: Options) -> list[Table]:
    found = interleave(commands(__file__, SUBJECTS, options, scaled(6, 2)), options.rounds)
    return [
        Table(UNITS[key][0], UNITS[key][1], "hello", values=values, targets=TARGETS.get(key, ()))
        for key, values in found.items()
    ]


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]))
    else:
        print(json.dumps(SUBJECTS[sys.argv[1]](float(sys.argv[2]))), flush=True)
