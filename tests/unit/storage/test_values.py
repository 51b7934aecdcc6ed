"""What a dataset takes comes back as it was; what it does not take is named."""

import decimal
import re

import numpy as np
import pytest
from helpers_storage import EPOCH, checkpoint, finish, put, quiet_store, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pymanip_run.storage.values import decode_value, encode_value

PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(st.text(), inner)
    ),
    max_leaves=20,
)
DTYPES = st.one_of(
    npst.boolean_dtypes(), npst.integer_dtypes(), npst.unsigned_integer_dtypes(), npst.floating_dtypes(),
    npst.complex_number_dtypes(sizes=(64, 128)), npst.byte_string_dtypes(), npst.unicode_string_dtypes(),
    npst.datetime64_dtypes(endianness="="), npst.timedelta64_dtypes(endianness="="),
    npst.array_dtypes(st.one_of(npst.integer_dtypes(), npst.floating_dtypes(sizes=(32, 64)))),
)  # fmt: skip


def without_titles(dtype):
    """Fields under names that HDF5 can hold, and without titles."""
    if not dtype.names:
        return dtype
    fields = {name.replace("\0", "") or "x": dtype.fields[name][0] for name in dtype.names}
    return np.dtype(list(fields.items()))


ARRAYS = npst.arrays(
    DTYPES.filter(lambda d: d.subdtype is None).map(without_titles),
    npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@given(value=st.one_of(PLAIN, st.binary(), st.complex_numbers()))
def test_plain_values_come_back_with_their_types(value):
    assert same(decode_value(*encode_value("x", value)), value)


@given(array=ARRAYS)
def test_arrays_come_back(array):
    back = decode_value(*encode_value("x", array))
    assert back.shape == array.shape
    assert back.dtype.kind == array.dtype.kind
    assert repr(back.tolist()) == repr(array.tolist())


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.one_of(ARRAYS, PLAIN, st.binary()), min_size=1, max_size=8))
def test_they_come_back_through_a_file(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("v") / "s.h5"
    store = quiet_store(path)
    wanted = [decode_value(*encode_value("x", value)) for value in values]
    for i, value in enumerate(values):
        put(store, EPOCH + i * 1000, "x", value)
    assert all(map(same, [store.dataset_record("x", i) for i in range(len(values))], wanted))
    checkpoint(path)
    assert store.events() == []
    assert all(map(same, [store.dataset_record("x", i) for i in range(len(values))], wanted))
    finish(store)


class WithArray:
    """A quantity of some library."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3.0)


def test_an_object_that_gives_an_array_is_stored_as_one():
    assert decode_value(*encode_value("x", WithArray())).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, decimal.Decimal(1), {1: 2}, [object()], [[{1: 2}]], np.array([object()]), np.array([None, "a"]),
        np.zeros(1, [("a", "U3")]), np.zeros(1, [("a", "M8[s]")]), np.zeros(1, [("a", "O")]), np.zeros(1, np.clongdouble),
        np.zeros(1, [("a", [("b", np.clongdouble)])]), np.zeros((1,) * 40), np.zeros(1, []),
    ],
    ids=lambda v: re.sub(r" at 0x[0-9a-f]+", "", repr(v)),
)  # fmt: skip
def test_what_cannot_be_stored_is_a_type_error_that_names_the_dataset(value):
    with pytest.raises(TypeError, match="camera: "):
        encode_value("camera", value)


def test_a_value_that_contains_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="contains itself"):
        encode_value("x", endless)


def test_a_deep_list_of_numbers_is_stored_as_json():
    value = [1.0]
    for _ in range(40):
        value = [value]
    stored, kind = encode_value("x", value)
    assert kind == "json"
    assert decode_value(stored, kind) == value


def test_a_field_name_with_nul_is_refused_by_name():
    with pytest.raises(ValueError, match=r"frame: the field name '\\x00' has NUL"):
        encode_value("frame", np.zeros(1, [("\0", "i1")]))
