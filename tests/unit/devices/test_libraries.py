"""The classes of the libraries that laboratories use, as they are."""

import asyncio
import importlib
import os
import threading
import time
import tty
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import instruments
import pytest
from instruments.scpi import Instrument as ScpiInstrument

from pymanip_run.devices import DeviceCalls, Reconnect, SafeCall
from pymanip_run.errors import DeviceOpenError


def library(name):
    """Import a library; skip the test where it is missing, but not under CI."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        return importlib.import_module(name)
    return pytest.importorskip(name)


VISA_LIBRARY = f"{Path(next(iter(instruments.__path__))) / 'visa.yaml'}@sim"
THREAD = "device dev"


@pytest.fixture
def calls(bench):
    """``device_call`` for the devices of the bench."""
    calls = DeviceCalls()

    async def call(function, *args, timeout=None):
        calls.devices = bench.rack.devices
        return await calls.call(function, args, timeout=timeout, names={})

    yield call
    calls.close()


# -- pyvisa, with pyvisa-sim ----------------------------------------------------------------------

pyvisa = library("pyvisa")
library("pyvisa_sim")


def open_source(name="GPIB0::8::INSTR"):
    """A factory as people write it."""
    manager = pyvisa.ResourceManager(VISA_LIBRARY)
    return manager.open_resource(name, read_termination="\n", write_termination="\n")


def test_a_pyvisa_resource_of_a_factory(bench, spec, calls):
    async def use(sesn):
        assert await calls(sesn.dev.query, "*IDN?") == "LAB,SOURCE,1,0.1"
        return sesn.dev

    resource = bench.run(use, spec(open_source, safe=(SafeCall("write", ("OUTP 0",)),)))
    with pytest.raises(pyvisa.errors.InvalidSession):
        resource.session  # noqa: B018 - it was closed
    assert bench.told[1:] == ["dev: safe: write OUTP 0", "dev: closed"]


def test_a_blocking_pyvisa_resource(bench, spec):
    async def use(sesn):
        await sesn.dev.write("VOLT 2.5")
        assert await sesn.dev.query("VOLT?") == "2.500"
        await sesn.dev.timeout.set(3000)
        assert await sesn.dev.timeout == 3000
        assert isinstance(sesn.dev, pyvisa.resources.MessageBasedResource)

    bench.run(use, spec(open_source, blocking=True))


def test_a_pyvisa_resource_that_is_not_there(bench, spec):
    library("pyvisa_py")

    def nobody():
        return pyvisa.ResourceManager("@py").open_resource("ASRL/dev/ttyNOWHERE::INSTR")

    with pytest.raises(DeviceOpenError, match="could not open port /dev/ttyNOWHERE"):
        bench.run(lambda sesn: None, spec(nobody))


def test_a_visa_error_opens_the_resource_again(bench, spec):
    resources = []

    def make():
        resources.append(open_source())
        return resources[-1]

    async def use(sesn):
        await sesn.dev.timeout.set(50)
        with pytest.raises(pyvisa.errors.VisaIOError):
            await sesn.dev.read()  # nothing was asked for
        assert await sesn.dev.query("*IDN?") == "LAB,SOURCE,1,0.1"

    bench.run(use, spec(make, blocking=True, reconnect=Reconnect(0.01, 1.0)))
    assert len(resources) == 2


# -- PyMeasure ------------------------------------------------------------------------------------


@pytest.fixture
def source():
    """A class of PyMeasure, and the adapters that were made for it."""
    pymeasure = library("pymeasure.instruments")
    adapters = library("pymeasure.adapters")
    made = []

    class Output(pymeasure.Channel):
        voltage = pymeasure.Channel.control("VOLT?", "VOLT %.3f", "Volts.")

    class Source(pymeasure.SCPIMixin, pymeasure.Instrument):
        out = pymeasure.Instrument.ChannelCreator(Output, "1")
        voltage = pymeasure.Instrument.control("VOLT?", "VOLT %.3f", "Volts.")
        output_enabled = pymeasure.Instrument.control(
            "OUTP?", "OUTP %d", "Output.", map_values=True, values={True: 1, False: 0}
        )

        def __init__(self, resource):
            adapter = adapters.VISAAdapter(
                resource,
                visa_library=VISA_LIBRARY,
                read_termination="\n",
                write_termination="\n",
            )
            made.append(adapter)
            super().__init__(adapter, "source")

        def shutdown(self):
            self.output_enabled = False
            super().shutdown()

    return partial(Source, "GPIB0::8::INSTR"), made


def test_pymeasure_properties_and_channels_are_awaited(bench, spec, source):
    make, adapters = source

    async def use(sesn):
        dev = sesn.dev
        await dev.voltage.set(3)
        await dev.output_enabled.set(True)
        assert await dev.voltage == 3
        await dev.out.voltage.set(2)
        assert await dev.out.voltage == 2
        assert await dev.ask("VOLT?") == "2.000"
        assert (await dev.id).startswith("LAB")
        assert dev.name == "source"

    bench.run(use, spec(make, blocking=True, safe=(SafeCall("output_enabled", (False,)),)))
    assert bench.told[1] == "dev: safe: output enabled off"
    with pytest.raises(pyvisa.errors.InvalidSession):
        adapters[0].connection.session  # noqa: B018 - shutdown leaves it open, we close it


def test_pymeasure_by_device_call(bench, spec, source, calls):
    make, _ = source

    async def use(sesn):
        await calls(setattr, sesn.dev, "voltage", 4)
        assert await calls(getattr, sesn.dev, "voltage") == 4
        await calls(setattr, sesn.dev.out, "voltage", 5)
        assert await calls(lambda dev: (dev.voltage, here()), sesn.dev) == (5, THREAD)
        assert await calls(lambda out: here(), sesn.dev.out) == THREAD

    bench.run(use, spec(make, safe=(SafeCall("shutdown"),)))


def here():
    return threading.current_thread().name


# -- QCoDeS ---------------------------------------------------------------------------------------


@pytest.fixture
def dmm():
    """A class of QCoDeS."""
    qcodes = library("qcodes.instrument")

    class Dmm(qcodes.Instrument):
        def __init__(self, name):
            super().__init__(name)
            self.level, self.threads = 0.0, set()
            self.voltage = self.add_parameter("voltage", get_cmd=self._get, set_cmd=self._set)
            self.channel = self.add_submodule("channel", qcodes.InstrumentChannel(self, "A"))
            self.channel.add_parameter("range", get_cmd=here)

        def _get(self):
            self.threads.add(here())
            return self.level

        def _set(self, value):
            self.threads.add(here())
            self.level = value

        def get_idn(self):
            raise AssertionError("nobody asked for it")

    return Dmm


def test_qcodes_parameters_are_awaited(bench, spec, dmm):
    async def use(sesn):
        dev = sesn.dev
        await dev.voltage(3)
        assert await dev.voltage() == 3
        await dev.voltage.set(4)
        assert await dev.voltage.get() == 4
        assert await dev.channel.range() == THREAD
        assert dev.level == 4
        assert dev.threads == {THREAD}
        assert dmm.exist("dmm_a")

    bench.run(use, spec(partial(dmm, "dmm_a"), blocking=True, safe=(SafeCall("voltage", (0,)),)))
    assert bench.told[1] == "dev: safe: voltage 0"
    assert not dmm.exist("dmm_a")


def test_qcodes_by_device_call(bench, spec, dmm, calls):
    async def use(sesn):
        dev = sesn.dev
        await calls(dev.voltage, 3)
        assert await calls(dev.voltage.get) == 3
        assert await calls(dev.channel.range.get) == THREAD
        assert dev.threads == {THREAD}

    bench.run(use, spec(partial(dmm, "dmm_b")))


def test_a_qcodes_instrument_is_made_again_under_its_name(bench, spec, dmm):
    class Flaky(dmm):
        failures = 1

        def _get(self):
            if Flaky.failures:
                Flaky.failures -= 1
                raise ConnectionResetError
            return super()._get()

    async def use(sesn):
        with pytest.raises(ConnectionResetError):
            await sesn.dev.voltage()
        assert await sesn.dev.voltage() == 0

    bench.run(use, spec(partial(Flaky, "dmm_c"), blocking=True, reconnect=Reconnect(0.01, 1.0)))


# -- FluidLab -------------------------------------------------------------------------------------


def test_a_fluidlab_driver(bench, spec, calls):
    drivers = library("fluidlab.instruments.drivers")
    features = library("fluidlab.instruments.features")
    sockets = library("fluidlab.interfaces.socket_inter")

    class Supply(drivers.Driver):
        pass

    Supply._build_class_with_features(
        [features.FloatValue("volts", command_set="VOLT", check_instrument_value=False)]
    )
    instrument = ScpiInstrument().start()

    def make():
        return Supply(sockets.TCPSocketInterface("127.0.0.1", instrument.port))

    async def by_call(sesn):
        await calls(sesn.dev.volts.set, 3)
        assert await calls(sesn.dev.volts.get) == 3
        assert await calls(sesn.dev.get, "volts") == 3

    async def blocking(sesn):
        await sesn.dev.volts.set(2)
        assert await sesn.dev.volts.get() == 2

    try:
        off = (SafeCall("set", ("volts", 0)),)
        for use, is_blocking in ((by_call, False), (blocking, True)):
            bench.run(use, spec(make, blocking=is_blocking, safe=off))
            for _ in range(1000):  # what is on the line when it is closed still arrives
                if instrument.voltage == 0:
                    break
                time.sleep(0.01)
            assert instrument.voltage == 0
    finally:
        instrument.stop()
    written = [float(line.split()[1]) for line in instrument.log if "?" not in line]
    assert written == [3, 0, 2, 0]


# -- pymodbus -------------------------------------------------------------------------------------


@contextmanager
def modbus_server():
    """A server with some registers, in a thread of its own; gives its port."""
    server_module = library("pymodbus.server")
    simulator = library("pymodbus.simulator")
    ready, ports, over = threading.Event(), [], []

    async def serve():
        registers = simulator.SimData(
            0, values=[17, 25, 0, 0], datatype=simulator.DataType.REGISTERS
        )
        server = server_module.ModbusTcpServer(
            simulator.SimDevice(1, simdata=[registers]), address=("127.0.0.1", 0)
        )
        await server.serve_forever(background=True)
        ports.append(server.transport.sockets[0].getsockname()[1])
        stop = asyncio.Event()
        over.append((asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        await server.shutdown()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield ports[0]
    finally:
        loop, stop = over[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


def test_pymodbus_clients_of_both_kinds(bench, spec):
    client = library("pymodbus.client")

    async def use(sesn):
        assert (await sesn.dev.read_holding_registers(0, count=2, device_id=1)).registers == [
            17,
            25,
        ]
        await sesn.dev.write_register(2, 5, device_id=1)
        return sesn.dev

    off = (SafeCall("write_register", (2, 0), {"device_id": 1}),)
    with modbus_server() as port:
        asynchronous = partial(client.AsyncModbusTcpClient, "127.0.0.1", port=port)
        assert not bench.run(use, spec(asynchronous, safe=off)).connected
        plain = partial(client.ModbusTcpClient, "127.0.0.1", port=port)
        bench.run(use, spec(plain, blocking=True, safe=off))
    assert [line for line in bench.told if "safe" in line] == [
        "dev: safe: write register 2, 0, device_id 1"
    ] * 2


@pytest.mark.parametrize("kind", ["AsyncModbusTcpClient", "ModbusTcpClient"])
def test_a_pymodbus_client_without_a_connection_is_not_open(bench, spec, kind):
    """Its context managers say nothing."""
    client = library("pymodbus.client")
    make = partial(getattr(client, kind), "127.0.0.1", port=1)
    with pytest.raises(DeviceOpenError, match="no connection"):
        bench.run(lambda sesn: None, spec(make))


# -- a serial line --------------------------------------------------------------------------------


@contextmanager
def serial_line():
    """The name of a line at whose other end an instrument answers."""
    ours, theirs = os.openpty()
    for end in (ours, theirs):
        tty.setraw(end)

    def answer():
        line = b""
        while True:
            try:
                byte = os.read(ours, 1)
            except OSError:
                return
            line += byte
            if byte == b"\n":
                os.write(ours, b"21.5\n" if line == b"T?\n" else b"ERR\n")
                line = b""

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(theirs)
        os.close(ours)


def test_pyserial_over_a_line(bench, spec, calls):
    serial = library("serial")

    async def use(sesn):
        await sesn.dev.write(b"T?\n")
        assert await sesn.dev.readline() == b"21.5\n"
        assert sesn.dev.is_open

    async def by_call(sesn):
        await calls(sesn.dev.write, b"T?\n")
        assert await calls(sesn.dev.readline) == b"21.5\n"
        return sesn.dev

    with serial_line() as port:
        make = partial(serial.Serial, port, 9600, timeout=5)
        bench.run(use, spec(make, blocking=True))
        assert not bench.run(by_call, spec(make)).is_open


def test_serialx_over_a_line(bench, spec):
    serialx = library("serialx")

    async def use(sesn):
        await sesn.dev.write(b"T?\n")
        assert await sesn.dev.readline() == b"21.5\n"

    with serial_line() as port:
        bench.run(use, spec(partial(serialx.AsyncSerial, port, baudrate=9600)))


def test_a_line_that_is_not_there(bench, spec):
    serial = library("serial")
    with pytest.raises(
        DeviceOpenError, match=r"SerialException: .*could not open port /dev/ttyNOWHERE"
    ):
        bench.run(lambda sesn: None, spec(partial(serial.Serial, "/dev/ttyNOWHERE")))
