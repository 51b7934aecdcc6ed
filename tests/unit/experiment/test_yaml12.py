"""Scalars of YAML 1.2, anchors, merge keys."""

import math

import pytest

from pymanip_run.experiment.text.nodes import MappingNode, locate, plain
from pymanip_run.experiment.text.problems import Source
from pymanip_run.experiment.text.yaml12 import compose


def parse(text):
    problems = []
    root = compose(Source("e.yaml", text), problems)
    assert problems == []
    return root


def complaints(text):
    problems = []
    compose(Source("e.yaml", text), problems)
    return [problem.line() for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1E3", 1000.0), ("010", 10), ("0o17", 15), ("0x1F", 31), ("-12", -12), ("+3", 3),
        ("1.", 1.0), (".5", 0.5), ("-1.5e+2", -150.0), (".inf", math.inf), ("-.Inf", -math.inf),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("No", "No"), ("y", "y"), ("tRue", "tRue"),
        ("12:30:00", "12:30:00"), ("2026-11-22", "2026-11-22"), ("1_000", "1_000"), ("0b11", "0b11"),
        ("0o8", "0o8"), ("-0x1", "-0x1"), ("1e", "1e"), ("e5", "e5"), (".", "."), ("inf", "inf"), ("nan", "nan"),
        ("'1'", "1"), ('"true"', "true"), ("!!str 1", "1"), ("! 1", "1"), ("!!int '1'", 1), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    result = plain(parse(f"x: {text}\n"))["x"]
    assert result == value
    assert type(result) is type(value)


def test_nan_is_a_number():
    assert math.isnan(plain(parse("x: .NaN"))["x"])


def test_keys_are_texts_as_they_are_written():
    assert plain(parse("{on: 1, 1: 2, ~: 3, 1.0: 4, '1 ': 5}")) == {
        "on": 1, "1": 2, "~": 3, "1.0": 4, "1 ": 5
    }  # fmt: skip


def test_own_keys_win_over_merged_ones_and_the_first_mapping_over_the_next():
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {z: 4, <<: *b}\n"
    assert plain(parse(text))["c"] == {"x": 3, "y": 1, "z": 2}
    assert plain(parse(text))["d"] == {"y": 2, "z": 4}


def test_a_quoted_merge_key_is_a_key():
    assert plain(parse("'<<': 1")) == {"<<": 1}


def test_an_alias_bomb_is_refused_where_it_bursts():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    found = complaints("\n".join(lines))
    assert len(found) == 1
    assert found[0].startswith("e.yaml:4:")
    assert found[0].endswith("the anchors of this file expand to more than 10000 values")


def test_a_bomb_of_merge_keys_is_refused():
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(100)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 200)]
    assert "expand to more than" in complaints("\n".join(lines))[0]


def test_as_many_values_as_one_likes_without_anchors():
    assert len(plain(parse(f"x: [{'1, ' * 20_000}1]"))["x"]) == 20_001


def test_deep_nesting_is_refused_without_recursion():
    for opening in ("[", "{a: ", "- ", "? "):
        assert any(
            "nested deeper than 50 levels" in found for found in complaints(opening * 100_000)
        )


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    root = parse("a: 1\r\nb:\r\n  c: x\r\n")
    assert isinstance(root, MappingNode)
    assert [str(locate(root, path).mark) for path in (["a"], ["b", "c"])] == [
        "e.yaml:1:4",
        "e.yaml:3:6",
    ]


def test_every_path_has_the_places_of_its_key_and_its_value():
    root = parse("a:\n  b: [x, {c: 1}]\n  d: |\n    text\n")
    places = {
        path: (str(locate(root, path).key_mark)[7:], str(locate(root, path).node.mark)[7:])
        for path in (("a",), ("a", "b"), ("a", "b", 1, "c"), ("a", "d"))
    }
    assert places == {
        ("a",): ("1:1", "2:3"), ("a", "b"): ("2:3", "2:6"), ("a", "b", 1, "c"): ("2:11", "2:14"),
        ("a", "d"): ("3:3", "3:6"),
    }  # fmt: skip


def test_a_tab_in_a_comment_is_harmless():
    assert plain(parse("a: 1 # tab\there\n#\talso\n")) == {"a": 1}


def test_several_duplicates_are_all_found():
    assert complaints("a: 1\na: 2\nb: {c: 1, c: 2}\n") == [
        "e.yaml:2:1: a: duplicate key 'a'; it is already in line 1",
        "e.yaml:3:11: b.c: duplicate key 'c'; it is already in line 3",
    ]
