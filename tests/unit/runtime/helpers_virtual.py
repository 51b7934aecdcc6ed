"""Real servers for code that runs in virtual time: in another thread, in another process."""

import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from time import sleep as real_sleep

from pymanip_run.runtime.virtual import virtual_time

EPOCH = 1_700_000_000 * 10**9
HOUR = 3600.0


def run(main):
    """Run a coroutine function in virtual time; return (result, virtual seconds, loop)."""
    with virtual_time(EPOCH) as world:
        result = world.run(main())
        return result, world.clock.elapsed, world.loop


def kinds(loop):
    """What the loop waited for in real time."""
    return {cost.kind for cost in loop.costs}


@contextmanager
def thread_server(
    *parts, delay=0.02, family=socket.AF_INET, address=("127.0.0.1", 0), unasked=False
):
    """Serve one connection in a thread: each question is answered with `parts`, each after a delay."""

    def serve():
        connection, _ = listener.accept()
        with connection:
            while unasked or connection.recv(100):
                for part in parts:
                    real_sleep(delay)
                    try:
                        connection.sendall(part)
                    except OSError:
                        return

    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join(30)


PROCESS = """
import socket, time
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with connection:
        while connection.recv(100):
            time.sleep(0.02)
            connection.sendall(b"21.5\\n")
"""


@contextmanager
def process_server():
    """Serve one connection in another process: each question is answered with a line."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROCESS)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield ("127.0.0.1", int(process.stdout.readline()))
        finally:
            process.kill()
