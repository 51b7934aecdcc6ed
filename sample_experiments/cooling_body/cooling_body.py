"""Newton's law of cooling: a body in a bath changes at a rate proportional to the difference.

    dT_body/dt = (T_bath - T_body) / tau,    tau = rho c r / 3 h

For a brass sphere (rho = 8500 kg/m3, c = 380 J/kg/K) of r = 1 mm in stirred water
(h = 1100 W/m2/K) tau is 1 s. Its Biot number is 0.003: it has one temperature throughout.
"""

import math
import random

import numpy as np

TAU_BODY = 1.0  # s
TAU_BATH = 0.3  # s, of the thermostat
NOISE = 0.01  # K, of each thermometer


class Bath:
    """The simulated experiment: a thermostat bath with a bead and two thermometers in it."""

    def __init__(self, now, temperature=20.0):
        self.time = now
        self.set_point = self.T_bath = self.T_body = temperature

    def read(self, now):
        """Return the temperatures of bath and bead in °C."""
        dt, self.time = now - self.time, now
        self.T_bath += (self.set_point - self.T_bath) * -math.expm1(-dt / TAU_BATH)
        self.T_body += (self.T_bath - self.T_body) * -math.expm1(-dt / TAU_BODY)
        return random.gauss(self.T_bath, NOISE), random.gauss(self.T_body, NOISE)


def setup(sesn):
    """Put the bead into the bath."""
    sesn.bath = Bath(sesn.now())


async def read_temperatures(sesn):
    """Log both thermometers."""
    T_bath, T_body = sesn.bath.read(sesn.now())
    sesn.add_entry(T_bath=T_bath, T_body=T_body)


async def time_constant(sesn):
    """Log the slope of the last half second, and the time constant where it is steep enough."""
    begin = sesn.now() - 0.55  # not the last six values: they may be of an earlier run
    t, T_body = sesn["T_body"].since(begin)
    if len(t) < 5:
        return
    slope = np.polyfit(t - t[0], T_body, 1)[0]
    sesn.add_entry(slope=slope)
    difference = np.mean(sesn["T_bath"].since(begin).values) - np.mean(T_body)
    if abs(slope) > 0.5:
        sesn.add_entry(tau=difference / slope)


async def rest_at(sesn, T_set):
    """Set the bath, wait until the bead has followed, and log its mean over one second."""
    sesn.bath.set_point = T_set
    await sesn.sleep(1)
    while sesn.running and abs(sesn["T_body"].last[1] - T_set) > 0.05:
        await sesn.sleep(0.1)
    await sesn.sleep(1)
    if sesn.running:  # not stopped while it was waiting
        sesn.add_entry(T_rest=np.mean(sesn["T_body"].tail(10).values))
        sesn.note(f"the bead is at rest at {T_set:g} °C")
