"""Arrays and plain values come out of a pickle as pickle itself makes them; nothing else comes out of it."""

import collections
import datetime
import os
import pickle
import pickletools
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pymanip_run.storage import unpickle as module
from pymanip_run.storage.unpickle import UnsafePickleError, unpickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
STRUCTURED = np.array(
    [(1, 2.5, b"ab", "ä", (1, 2)), (3, -np.inf, b"", "", (3, 4))],
    dtype=[("n", "<i4"), ("x", ">f8"), ("s", "S3"), ("u", "U2"), ("pair", "<i2", (2,))],
)
VALUES = {
    "2-d": np.arange(12, dtype=np.uint16).reshape(3, 4), "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">i4"), "structured": STRUCTURED, "aligned": np.zeros(2, np.dtype([("a", "u1"), ("b", "f8")], align=True)),
    "empty": np.empty((0, 3)), "0-d": np.array(3.5), "strided": np.arange(10)[::3], "complex": np.array([1j]), "bools": np.array([True]),
    "texts": np.array(["ä", "b"]), "bytes array": np.array([b"a", b""]), "no bytes": np.zeros((2, 3), "S0"), "opaque": np.zeros(2, "V5"),
    "dates": np.array(["2026-11-22", "NaT"], "M8[25s]"), "durations": np.array([5], "m8[us]"), "generic": np.array(["NaT"], "M8"),
    "float16": np.array([0.1], np.float16), "longdouble": np.array(np.longdouble(1) / 3), "objects": np.array(["a", None, [1]], object),
    "object matrix": np.array([["x"], ["y"]], object), "float32": np.float32(0.1), "bool_": np.bool_(True), "str_": np.str_("ä"),
    "datetime64": np.datetime64("2020-01-01"), "void": STRUCTURED[0], "text": "grün \0 \udcff", "big": 2**1000, "negative": -(2**70),
    "none": None, "true": True, "float": 1e-300, "complex number": 1 - 2j, "bytes": b"\0\xff", "list": [1, 2.5, "x"], "tuple": (1, (2, ())),
    "dict": {"a": {"b": (1,)}, 1: 2, (1, "a"): 3, b"k": None, None: 1}, "arrays in a dict": {"x": np.arange(3), "y": [np.arange(2)] * 3},
    "shared": [["a"]] * 5, "long list": list(range(3000)), "long dict": {str(i): i for i in range(3000)},
}  # fmt: skip


def same(a, b):
    if isinstance(a, (np.ndarray, np.generic)):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and repr(a.tolist()) == repr(b.tolist())  # fmt: skip
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_what_pickle_makes_of_it(name, protocol):
    data = pickle.dumps(VALUES[name], protocol)
    assert same(unpickle(data), pickle.loads(data))  # noqa: S301 - our own


def test_arrays_of_older_and_newer_numpy_are_read():
    data = pickle.dumps(np.arange(3), 2)
    for package in (b"numpy.core", b"numpy._core"):
        old = data.replace(b"numpy._core", package).replace(b"numpy.core", package)
        assert unpickle(old).tolist() == [0, 1, 2]


@given(hnp.arrays(st.one_of(hnp.scalar_dtypes(), hnp.array_dtypes()), hnp.array_shapes(min_dims=0, max_side=4)), st.sampled_from(PROTOCOLS))  # fmt: skip
def test_any_array_is_what_pickle_makes_of_it(array, protocol):
    data = pickle.dumps(array, protocol)
    expected = pickle.loads(data)  # noqa: S301 - our own
    found = unpickle(data)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
                    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)),
       st.sampled_from(PROTOCOLS))  # fmt: skip
def test_any_plain_value_is_what_pickle_makes_of_it(value, protocol):
    data = pickle.dumps(value, protocol)
    assert same(unpickle(data), pickle.loads(data))  # noqa: S301 - our own


class Calls:
    """Is pickled as a call."""

    def __init__(self, function, *arguments):
        self.it = function, arguments

    def __reduce__(self):
        return self.it


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Calls(os.system, "touch hacked"), "posix.system"), (Calls(eval, "1"), ".eval"), (Calls(getattr, 1, "real"), ".getattr"),
        (Calls(np.load, "x"), "numpy.load"), (Calls(Path, "x"), "Path"), (datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), "datetime.datetime"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"), (np.ma.array([1]), "numpy.ma.core._mareconstruct"),
        ({1, 2}, "set"), (frozenset([1]), "frozenset"), (np.random.default_rng(), "numpy.random"), (float, ".float"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_all_else_is_refused_by_name(value, named, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafePickleError) as refused:
        unpickle(pickle.dumps(["before", value], protocol))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def laughs(depth=50):
    """Lists of lists of lists, each twice the one before: 2**50 of them when they are written out."""
    return b"\x80\x04]\x94" + b"".join(b"(h%ch%cl\x94" % (i, i) for i in range(depth)) + b"."


def keys(depth=60):
    """A tuple of tuples, each twice the one before, as a key: its hash takes 2**60 steps."""
    return b"\x80\x04}N\x94" + b"".join(b"h%ch%c\x86\x94" % (i, i) for i in range(depth)) + b"Ns."


HOSTILE = {
    "billion laughs": laughs(),
    "endless hash": keys(),
    "deep lists": b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "deep tuples": b"\x80\x04)" + b"\x85" * 200_000 + b".",
    "contains itself": b"\x80\x04]\x94h\x00a.",
    "huge bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"N.",
    "huge bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"N.",
    "huge number": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    "long number in text": b"I" + b"9" * 1_000_000 + b"\n.",
    "millions of lists": b"\x80\x04(" + b"]" * 20_000_000 + b"l.",
    "millions of numbers": b"\x80\x04(" + b"K\x01" * 20_000_000 + b"l.",
    "huge array": pickle.dumps(np.zeros(3), 2).replace(b"K\x01K\x03\x85", b"K\x01\x8a\x06" + (10**13).to_bytes(6, "little") + b"\x85"),
    "huge array without bytes": pickle.dumps(np.zeros(3, "S0"), 2).replace(b"K\x03\x85", b"\x8a\x06" + (10**13).to_bytes(6, "little") + b"\x85"),
    "persistent": b"Pid\n.", "extension": b"\x82\x01.", "instance": b"(ios\nsystem\n.", "nothing": b"", "only an end": b".",
    "no end": b"\x80\x04N", "a text": b"hello world", "marks": b"(((((.", "no list": b"Na.", "odd dict": b"}(Nu.", "a name": b"cnumpy\ndtype\n.",
    "no mark": b"NNl.", "too many": b"NN.", "dtype twice": b"cnumpy\ndtype\n(U\x02f8\x89\x88tR\x94(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb(K\x03tb.",
    "calls a number": b"K\x01)R.", "changes a list": b"](K\x01tb.", "unknown dtype": b"cnumpy\ndtype\n(U\x04evil\x89\x88tR.",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_with_one_sentence(name):
    with pytest.raises(UnsafePickleError) as refused:
        unpickle(HOSTILE[name])
    assert 10 < len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("trick", [b"r\xff\xff\xff\x7f", b"\x95" + struct.pack("<Q", 1 << 60)])
def test_places_and_frames_of_any_size_take_no_memory(trick):
    assert unpickle(b"\x80\x04N" + trick + b".") is None


LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pymanip_run.storage.unpickle import unpickle, UnsafePickleError
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpickle(data)
except UnsafePickleError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("name", ["billion laughs", "deep tuples", "huge bytearray", "huge number", "millions of lists",
                                  "millions of numbers", "huge array", "huge array without bytes"])  # fmt: skip
def test_a_hostile_pickle_takes_no_more_memory_than_a_large_measurement(name):
    root = Path(module.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, root], input=HOSTILE[name], capture_output=True, check=True, timeout=60
    )  # fmt: skip
    assert int(done.stdout) < 600_000  # kB


@given(st.data())
def test_a_damaged_pickle_is_a_value_or_one_sentence(data):
    whole = pickle.dumps([VALUES["structured"], VALUES["dict"], VALUES["text"], np.arange(3)], 4)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = (
        whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 3)) :]
    )
    try:
        unpickle(damaged)
    except UnsafePickleError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most damage is an error, some is another value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_one_sentence(content):
    try:
        unpickle(content)
    except UnsafePickleError as error:
        assert "\n" not in str(error)  # noqa: PT017 - nearly all are


def test_every_instruction_of_the_language_is_carried_out_or_refused():
    known = module.SILENT | module.LITERALS.keys() | module.ACTIONS.keys() | {"STOP"}
    refused = {o.name for o in pickletools.opcodes} - known
    assert refused == {"PERSID", "BINPERSID", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "EMPTY_SET",
                       "ADDITEMS", "FROZENSET", "NEXT_BUFFER", "READONLY_BUFFER"}  # fmt: skip


@pytest.mark.parametrize(
    "keys",
    [
        [i * (2**61 - 1) for i in range(1, 10_100)],
        [complex(1e12 - 1000003 * i, i) for i in range(10_100)],
        [(i, 0) for i in range(10_100)],
    ],
    ids=["integers", "complex", "tuples"],
)
def test_keys_whose_hashes_can_be_chosen_are_few(keys):
    content = b"\x80\x03}(" + b"".join(pickle.dumps(key, 2)[2:-1] + b"N" for key in keys) + b"u."
    with pytest.raises(UnsafePickleError, match="more than 10000 keys"):
        unpickle(content)


def test_many_usual_keys_are_read():
    wanted = {i: i for i in range(20_000)} | {f"k{i}": i / 7 for i in range(20_000)}
    wanted |= {i / 3: i for i in range(20_000)} | {(1, i): i for i in range(100)}
    assert unpickle(pickle.dumps(wanted)) == wanted
