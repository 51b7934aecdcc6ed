"""A thermometer with a heater that speaks SCPI over TCP, and drivers for it as laboratories write them.

``python scpi.py PORT LOG`` runs it as a process; each command that it gets is a line of LOG.
"""

import asyncio
import contextlib
import socket
import sys
import threading
from pathlib import Path


class Instrument:
    """The instrument: it answers, or hangs, drops the connection, answers garbage, or late.

    Attributes
    ----------
    mode : str
        What it does with queries: ``ok``, ``hang``, ``drop``, ``garbage``, ``late``.
    log : list of str
        The commands that it got.
    """

    def __init__(self, port=0, on_command=None):
        self.port = port
        self.mode = "ok"
        self.delay = 0.3
        self.output = False
        self.voltage = 0.0
        self.log = []
        self._on_command = on_command
        self._writers = set()
        self._loop = None
        self._thread = None

    def start(self):
        """Listen in a thread of its own."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(ready.set),), daemon=True
        )
        self._thread.start()
        assert ready.wait(10)
        return self

    def stop(self):
        """Switch it off: its connections break."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set_result, None)
            self._thread.join(10)
            self._thread = None

    async def _serve(self, ready):
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready()
        await self._over
        server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _talk(self, reader, writer):
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                await self._obey(line.decode().strip(), writer)
        self._writers.discard(writer)
        writer.close()

    async def _obey(self, command, writer):
        self.log.append(command)
        if self._on_command is not None:
            self._on_command(command)
        verb, _, value = command.partition(" ")
        if verb == "OUTP":
            self.output = value in ("ON", "1")
        elif verb == "VOLT":
            self.voltage = float(value)
        elif verb == "MODE":
            self.mode = value
        if not verb.endswith("?"):
            return
        if self.mode == "hang":
            return
        if self.mode == "drop":
            writer.transport.abort()
            return
        if self.mode == "late":
            await asyncio.sleep(self.delay)
        answer = {
            "*IDN?": "LAB,THERMO,1,0.1",
            "MEAS:TEMP?": f"{20 + self.voltage * self.output:.3f}",
            "OUTP?": str(int(self.output)),
            "VOLT?": f"{self.voltage:.3f}",
        }.get(verb, "ERR")
        writer.write(b"\xff?#*@\n" if self.mode == "garbage" else f"{answer}\n".encode())
        await writer.drain()


class AsyncThermometer:
    """A driver with streams."""

    def __init__(self, port, host="127.0.0.1"):
        self.address = host, port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(*self.address)
        return self

    async def __aexit__(self, *error):
        self.writer.close()
        await self.writer.wait_closed()

    async def query(self, command):
        self.writer.write(f"{command}\n".encode())
        await self.writer.drain()
        return (await self.reader.readuntil(b"\n")).decode().strip()

    async def write(self, command):
        self.writer.write(f"{command}\n".encode())
        await self.writer.drain()

    async def read(self):
        return float(await self.query("MEAS:TEMP?"))

    async def set_output(self, on):
        await self.write(f"OUTP {'ON' if on else 'OFF'}")

    async def set_voltage(self, value):
        await self.write(f"VOLT {value}")


class PlainThermometer:
    """A driver with a socket, that waits for answers as long as it takes."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=10)
        self.socket.settimeout(None)
        self.file = self.socket.makefile("rwb")

    def close(self):
        # Without it a thread that reads would go on reading.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def write(self, command):
        self.file.write(f"{command}\n".encode())
        self.file.flush()

    def query(self, command):
        self.write(command)
        line = self.file.readline()
        if not line:
            raise ConnectionResetError("the instrument closed the connection")
        return line.decode().strip()

    def read(self):
        return float(self.query("MEAS:TEMP?"))

    def set_output(self, on):
        self.write(f"OUTP {'ON' if on else 'OFF'}")

    def set_voltage(self, value):
        self.write(f"VOLT {value}")

    @property
    def voltage(self):
        return float(self.query("VOLT?"))

    @voltage.setter
    def voltage(self, value):
        self.set_voltage(value)


class FakeThermometer:
    """What stands for it in rehearsals."""

    def __init__(self, port=None):
        self.voltage, self.output = 0.0, False

    async def read(self):
        return 20.0 + self.voltage * self.output

    async def set_output(self, on):
        self.output = on

    async def set_voltage(self, value):
        self.voltage = value


def main(port, log):
    with Path(log).open("a", buffering=1) as file:
        instrument = Instrument(int(port), on_command=lambda command: file.write(f"{command}\n"))
        asyncio.run(instrument._serve(lambda: print("ready", instrument.port, flush=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
