"""Names and texts in HDF5."""

from uuid import uuid4

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.errors import DamagedFileError
from pymanip_run.storage import layout
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.journal import Position
from pymanip_run.storage.transaction import superblock_length

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("%/25F\0␛0a\ud800")))


@given(a=st.text(st.sampled_from("%25F/a")), b=st.text(st.sampled_from("%25F/a")))
def test_different_names_have_different_links(a, b):
    assert "/" not in layout.escape(a)
    assert (layout.escape(a) == layout.escape(b)) == (a == b)


@given(name=TEXTS)
def test_a_name_without_slash_or_percent_is_its_own_link(name):
    if not set(name) & {"/", "%"}:
        assert layout.escape(name) == name


@given(text=TEXTS)
def test_every_text_can_be_stored_and_comes_back(text):
    stored = layout.to_text(text)
    assert "\0" not in stored
    assert layout.text_of(stored.encode()) == text


def test_an_empty_file_is_complete_and_can_be_continued(tmp_path):
    path = tmp_path / "s.h5"
    layout.create(SYSTEM_FILES, SessionPaths(path), uuid4(), "title\0", Position(1, 0))
    data = path.read_bytes()
    assert superblock_length(data) == len(data)
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]
    with h5py.File(path) as h5:
        assert layout.read_info(h5).title == "title\0"
        assert list(h5) == ["datasets", "events", "metadata", "parameters", "runs", "statistics", "variables"]  # fmt: skip
        assert h5.attrs["NX_class"] == "NXroot"


def test_what_leads_out_of_the_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = [1.0]
    with h5py.File(tmp_path / "trap.h5", "w") as h5:
        h5["soft"] = h5py.SoftLink("/group")
        h5["external"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
        h5.create_dataset(
            "stored outside", (8,), "u1", external=[(str(tmp_path / "other.h5"), 0, 8)]
        )
        sources = h5py.VirtualLayout((1,), "f8")
        sources[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (1,))
        h5.create_virtual_dataset("virtual", sources)
        h5.create_group("group")
        for name in ("soft", "external", "stored outside", "virtual", "group"):
            with pytest.raises(DamagedFileError):
                layout.member(h5, name, h5py.Dataset)
        with pytest.raises(KeyError):
            layout.member(h5, "missing")
