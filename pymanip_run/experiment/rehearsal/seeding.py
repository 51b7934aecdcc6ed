"""Chance that repeats itself: what ``--seed`` does to `random` and `numpy.random`.

Also for those who begin new generators without a seed, which otherwise come from the operating
system: ``random.Random()``, ``random.seed()``, ``numpy.random.default_rng()``, ``RandomState()``.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["seeded"]

BITS = 64


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Let `random` and `numpy.random` repeat themselves within the context; None: not at all."""
    if seed is None:
        yield
        return
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - what the user's code may use
    fresh = random.Random(seed)  # noqa: S311 - for seeds that repeat themselves

    def entropy(bits: int = BITS) -> int:
        return fresh.getrandbits(bits)

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what the user's code may call
    replaced = _replaced(entropy)
    before = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def _replaced(entropy: Callable[..., int]) -> list[tuple[Any, str, Any]]:
    """Return what is replaced: module, name, and what takes its place."""
    seed, numpy_seed, numpy_bits = random.seed, np.random.seed, np.random.bit_generator

    class Random(random.Random):
        def seed(self, a: Any = None, version: int = 2) -> None:
            super().seed(entropy() if a is None else a, version)

    def reseed(a: Any = None, version: int = 2) -> None:
        seed(entropy() if a is None else a, version)

    def reseed_numpy(seed: Any = None) -> None:
        numpy_seed(entropy(32) if seed is None else seed)

    replaced: list[tuple[Any, str, Any]] = [
        (random, "Random", Random),
        (random, "seed", reseed),
        (np.random, "seed", reseed_numpy),
    ]
    if hasattr(numpy_bits, "randbits"):  # where all generators of numpy get theirs
        replaced.append((numpy_bits, "randbits", entropy))
    return replaced
