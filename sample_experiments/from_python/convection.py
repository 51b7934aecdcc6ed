"""The script form: a session, a device and two tasks, without an experiment file.

Run it with ``python convection.py``; Ctrl-C stops it, the data are in ``convection.h5``.
"""

import argparse
import asyncio
import random

from pymanip_run import AsyncSession, every


class Thermometer:
    """Stands for a thermometer on the network: a cell that is heated from below."""

    async def __aenter__(self):
        self.T_bottom = self.T_top = 20.0
        return self

    async def __aexit__(self, *error):
        pass

    async def aget(self):
        """Return the temperatures of the two plates in °C."""
        await asyncio.sleep(0.01)  # the time the answer takes
        self.T_bottom += 0.05 * (40.0 - self.T_bottom)
        self.T_top += 0.02 * (self.T_bottom - self.T_top)
        return self.T_bottom + random.gauss(0, 0.01), self.T_top + random.gauss(0, 0.01)


async def read_temperatures(sesn):
    """Log both plates; called again and again."""
    T_bottom, T_top = await sesn.thermometer.aget()
    sesn.add_entry(T_bottom=T_bottom, T_top=T_top)
    await sesn.sleep(0.2)


async def take_profile(sesn):
    """Store the temperature over the height; called on a fixed time grid."""
    T_bottom, T_top = await sesn.thermometer.aget()
    heights = [0.0, 0.25, 0.5, 0.75, 1.0]
    sesn.add_dataset(profile=[T_bottom + (T_top - T_bottom) * z for z in heights])


async def stop_after(sesn, seconds):
    """End the run; a coroutine that is given to monitor is awaited once."""
    await sesn.sleep(seconds)
    sesn.ask_exit(f"{seconds:g} s are over")


async def main(sesn, seconds):
    async with Thermometer() as sesn.thermometer:
        await sesn.monitor(
            read_temperatures,
            every(1, take_profile),
            stop_after(sesn, seconds),
            server_port=None,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    seconds = parser.parse_args().seconds

    with AsyncSession("convection") as sesn:
        sesn.save_parameter(heating_power=12.0)
        sesn.describe("T_bottom", unit="°C", label="Bottom plate", format=".2f")
        sesn.describe("T_top", unit="°C", label="Top plate", format=".2f")
        asyncio.run(main(sesn, seconds))

        t, T_bottom = sesn["T_bottom"]
        print(f"{len(t)} values of T_bottom, the last one {T_bottom[-1]:.2f} °C")
