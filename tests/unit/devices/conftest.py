"""Racks of devices, and what was told about them."""

import asyncio
import logging
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from pymanip_run.devices import DeviceSpec, Rack


class Bench:
    """Opens devices as attributes of `sesn`, and keeps what is told of them."""

    def __init__(self):
        self.sesn = SimpleNamespace()
        self.told = []
        self.rack = None

    def tell(self, name, text):
        self.told.append(f"{name}: {text}")

    @asynccontextmanager
    async def opened(self, *specs):
        self.rack = Rack(
            specs,
            tell=self.tell,
            attach=lambda name, thing: setattr(self.sesn, name, thing),
            detach=lambda name: self.sesn.__dict__.pop(name, None),
        )
        async with self.rack.opened():
            yield self.sesn

    def run(self, use, *specs):
        """Open the devices, await `use(sesn)`, and close them; return what it returned."""

        async def main():
            async with self.opened(*specs) as sesn:
                result = use(sesn)
                return await result if asyncio.iscoroutine(result) else result

        return asyncio.run(main())


@pytest.fixture
def bench(caplog):
    caplog.set_level(logging.DEBUG, logger="pymanip_run")
    return Bench()


@pytest.fixture
def spec():
    """Make the specification of a device named ``dev``."""

    def make(made, name="dev", **settings):
        return DeviceSpec(name, made, **settings)

    return make
