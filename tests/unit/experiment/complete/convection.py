"""What the complete experiment file asks for: a cell with a thermometer and a power supply, both simulated."""

import math
import random


class Thermometer:
    """Two channels over SCPI; there is none here."""

    def __init__(self, resource, channels):
        raise ConnectionError(f"nobody answers at {resource} for channels {channels}")


class FakeThermometer:
    def __init__(self, resource, channels):
        self.channels = channels
        self._noise = random.Random(1)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        pass

    async def read(self, channel):
        return 20 + 5 * channel + self._noise.gauss(0, 0.01)


class PowerSupply:
    def __init__(self, address):
        raise ConnectionError(f"nobody answers at {address}")

    def set_voltage(self, voltage):
        """Set the voltage."""

    def set_output(self, on):
        """Switch the output."""


class FakeSupply:
    def __init__(self, noise):
        self.noise = noise
        self.voltage = 0.0

    def set_voltage(self, voltage):
        self.voltage = voltage

    def set_output(self, on):
        if not on:
            self.voltage = 0.0

    def read_power(self):
        return self.voltage**2 / 10 + self.noise


async def read_temperatures(sesn):
    sesn.add_entry(T_top=await sesn.thermo.read(1), T_bottom=await sesn.thermo.read(2))


async def regulate(sesn):
    await sesn.sleep(1)


async def take_image(sesn, exposure):
    sesn.add_dataset(image=[[math.sin(x * exposure) for x in range(4)] for _ in range(4)])


async def warm_up(sesn):
    await sesn.sleep(1)


async def scan_step(sesn, value):
    sesn.add_entry(power=sesn.supply.read_power())
    return value


async def cool_down(sesn):
    sesn.supply.set_output(False)
