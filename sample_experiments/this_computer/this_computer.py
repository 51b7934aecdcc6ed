"""What this computer does: load, memory, disks, network, and temperatures where it has sensors."""

try:
    import psutil
except ImportError:
    raise ImportError(
        "this sample needs psutil; install it: pip install 'pymanip-run[samples]'"
    ) from None


class Counters:
    """Turns counters that only grow, such as the bytes received, into rates."""

    def __init__(self):
        self.before = {}

    def rate(self, name, count, now):
        """Return counts per second since the last call, None at the first one."""
        earlier_count, earlier = self.before.get(name, (count, now))
        self.before[name] = (count, now)
        return (count - earlier_count) / (now - earlier) if now > earlier else None


counters = Counters()


def setup(sesn):
    """Give every core and every temperature sensor its unit; the other ones are in the YAML file."""
    psutil.cpu_percent(percpu=True)  # the first reading only starts the measurement
    for core in range(psutil.cpu_count()):
        sesn.describe(f"cpu{core}_load", unit="%", format=".1f")
        sesn.describe(f"cpu{core}_frequency", unit="MHz", format=".0f")
    for name in temperatures():
        sesn.describe(name, unit="°C", format=".1f")


async def read_computer(sesn):
    """Log everything under one timestamp."""
    loads = psutil.cpu_percent(percpu=True)
    sesn.add_entry(
        {"cpu_load": sum(loads) / len(loads), "memory_used": psutil.virtual_memory().used / 1e9},
        {f"cpu{core}_load": load for core, load in enumerate(loads)},
        {f"cpu{core}_frequency": mhz for core, mhz in enumerate(frequencies())},
        rates(sesn.now()),
        temperatures(),
    )


def frequencies():
    """Return the clock frequency of each core in MHz, as far as the system tells."""
    try:
        return [core.current for core in psutil.cpu_freq(percpu=True) or []]
    except (AttributeError, NotImplementedError, OSError):  # many virtual machines
        return []


def rates(now):
    """Return what went through disks and network since the last call, per second."""
    counts = {}
    if disk := psutil.disk_io_counters():  # None where there is no disk
        counts |= {"disk_read": disk.read_bytes / 1e6, "disk_write": disk.write_bytes / 1e6}
    if net := psutil.net_io_counters():
        counts |= {"net_in": net.bytes_recv / 1e3, "net_out": net.bytes_sent / 1e3}
    found = {name: counters.rate(name, count, now) for name, count in counts.items()}
    return {name: rate for name, rate in found.items() if rate is not None}


def temperatures():
    """Return the temperatures in °C under the names of their sensors; a virtual machine has none."""
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    return {
        f"T_{chip}_{sensor.label or number}".replace(" ", "_"): sensor.current
        for chip, found in sensors.items()
        for number, sensor in enumerate(found)
        if sensor.current is not None
    }
