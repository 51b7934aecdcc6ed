"""Every kind of broken experiment file, with exactly what is said about it (``broken_files.txt``)."""

from pathlib import Path

import pytest

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.load.loading import load_experiment
from pymanip_run.experiment.text import yaml12

SMALLEST = "module: tasks.py\ntasks: [a]\n"


def described_cases():
    sections = (Path(__file__).parent / "broken_files.txt").read_text(encoding="utf-8")
    for section in sections.split("== ")[1:]:
        name, _, rest = section.partition("\n")
        text, _, message = ("\n" + rest).partition("\n--\n")
        yield pytest.param(text[1:] + "\n" if text else "", message.rstrip("\n"), id=name)


# What a text file would not show.
ODD = [
    pytest.param(
        "module: tasks.py\ntasks:\n\t- a\n",
        "e.yaml:3:1: a tab; use spaces (in a text, write \\t in double quotes)\n"
        "    3 |  - a\n"
        "      | ^",
        id="a tab for indentation",
    ),
    pytest.param(
        "module:\ttasks.py\ntasks: [a]\n",
        "e.yaml:1:8: a tab; use spaces (in a text, write \\t in double quotes)\n"
        "    1 | module: tasks.py\n"
        "      |        ^",
        id="a tab after a key",
    ),
    pytest.param(
        "module: \x1b[31m\n",
        "e.yaml:1:9: the character U+001B cannot be seen and is not allowed\n"
        "    1 | module: \\x1b[31m\n"
        "      |         ^",
        id="a character that a terminal obeys",
    ),
    pytest.param(
        "module: t\u2028.py\n",
        "e.yaml:1:10: the character U+2028 cannot be seen and is not allowed\n"
        "    1 | module: t\\u2028.py\n"
        "      |          ^",
        id="a line break that is none",
    ),
    pytest.param(
        f"{SMALLEST}metadata:\n\u00a0 a: 1\n",
        "e.yaml:4:1: a no-break space (U+00A0), which looks like a space and is none\n"
        "    4 | \\xa0 a: 1\n"
        "      | ^",
        id="a no-break space for indentation",
    ),
    pytest.param(
        f"{SMALLEST}session:\u00a0a.h5\n",
        "e.yaml:3:9: a no-break space (U+00A0), which looks like a space and is none\n"
        "    3 | session:\\xa0a.h5\n"
        "      |         ^",
        id="a no-break space after a key",
    ),
    pytest.param(
        f"{SMALLEST}variables: {{T\u200b: {{}}}}\n",
        "e.yaml:3:14: the character U+200B cannot be seen and is not allowed\n"
        "    3 | variables: {T\\u200b: {}}\n"
        "      |              ^",
        id="a character without width",
    ),
    pytest.param(
        f"{SMALLEST}metadata: {{x: {'9' * 301}}}\n",
        f"e.yaml:3:15: metadata.x: the number {'9' * 57}... is too large\n"
        f"    3 | metadata: {{x: {'9' * 86}…\n"
        "      |               ^",
        id="a very long integer",
    ),
    pytest.param(
        f"module: tasks.py\ntasks: {{{'a' * 249}: {{sweep: {{values: [1]}}}}}}\n",
        f"e.yaml:2:9: tasks.{'a' * 249}: a sweep name has 1 to 248 bytes in UTF-8, this one has 249: "
        f"'{'a' * 40}'\n    2 | tasks: {{{'a' * 92}…\n      |         ^",
        id="a name that is too long for a sweep only",
    ),
]


@pytest.mark.parametrize("parser", ["CLoader", "Loader"])
@pytest.mark.parametrize(("text", "message"), [*described_cases(), *ODD])
def test_what_is_wrong_is_said_with_its_place(tmp_path, monkeypatch, text, message, parser):
    monkeypatch.setattr(yaml12, "PARSER", getattr(yaml12.yaml, parser))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.yaml").write_text(text, encoding="utf-8", newline="")
    with pytest.raises(ConfigError) as caught:
        load_experiment("e.yaml")
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
    assert "hunter2" not in message
    assert [file.name for file in tmp_path.iterdir()] == ["e.yaml"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: " + b"x" * 2**20, "e.yaml: larger than 1 MiB; this is no experiment file"),
        (b"a: 1\nb: caf\xe9\n", "e.yaml:2:7: byte 0xE9 is not UTF-8; save the file as UTF-8 text"),
        (
            "a: 1\n".encode("utf-16"),
            "e.yaml:1:1: byte 0xFF is not UTF-8; save the file as UTF-8 text",
        ),
        (
            "a: 1\n".encode("utf-16-le"),
            "e.yaml:1:2: byte 0x00 is no text; save the file as UTF-8 text",
        ),
        (
            b"\x89HDF\r\n\x1a\n\0\0",
            "e.yaml:1:1: byte 0x89 is not UTF-8; save the file as UTF-8 text",
        ),
    ],
    ids=["too large", "Latin-1", "UTF-16", "UTF-16 without a mark", "HDF5"],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.yaml").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_experiment("e.yaml")
    assert str(caught.value) == message


def test_a_file_of_one_mebibyte_is_still_read(tmp_path):
    text = f"{SMALLEST}#"
    (tmp_path / "e.yaml").write_text(text + "-" * (2**20 - len(text)))
    assert load_experiment(tmp_path / "e.yaml").model.module == "tasks.py"


def test_a_missing_file_offers_the_nearest_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yaml").write_text(SMALLEST)
    with pytest.raises(ConfigError) as caught:
        load_experiment("experimnt.yaml")
    assert (
        str(caught.value)
        == "experimnt.yaml: there is no such file; did you mean 'experiment.yaml'?"
    )


@pytest.mark.parametrize(
    ("there", "name", "said"),
    [
        ((), "run.yaml", "; to begin with one:  pymanip-run new my_experiment"),
        (("cell.yaml", "old.yml"), "run.yaml", "; in {folder} there are cell.yaml, old.yml"),
        ((), "nowhere/run.yaml", ", nor a folder nowhere"),
    ],
)
def test_a_missing_file_without_a_near_one_says_what_is_there(
    tmp_path, monkeypatch, there, name, said
):
    monkeypatch.chdir(tmp_path)
    for other in there:
        (tmp_path / other).touch()
    with pytest.raises(ConfigError) as caught:
        load_experiment(name)
    assert str(caught.value) == f"{name}: there is no such file{said.format(folder=tmp_path)}"


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (("experiment.yaml",), "; did you mean 'cell/experiment.yaml'?"),
        (("a.yaml", "b.yaml"), " with a.yaml, b.yaml; say which"),
    ],
)
def test_a_folder_with_experiments_offers_them(tmp_path, monkeypatch, there, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cell").mkdir()
    for other in there:
        (tmp_path / "cell" / other).touch()
    with pytest.raises(ConfigError) as caught:
        load_experiment("cell")
    assert str(caught.value) == f"cell: this is a folder{said}"


def test_a_folder_is_no_experiment_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(ConfigError) as caught:
        load_experiment(tmp_path.name)
    assert str(caught.value) == f"{tmp_path.name}: this is a folder; an experiment file is needed"


def test_all_errors_come_at_once_in_the_order_of_the_file(folder):
    text = "module: 1\ntasks: {a: {evry: 1s, every: soon}}\nlimits: {duration: -1}\nsesion: x\n"
    lines = [line for line in folder.complaint(text).splitlines() if "experiment.yaml:" in line]
    assert [line.split(": ")[0].removeprefix("experiment.yaml:") for line in lines] == [
        "1:9", "2:13", "2:30", "3:20", "4:1"
    ]  # fmt: skip


def test_hundreds_of_errors_are_told_in_a_bounded_text(folder):
    text = SMALLEST + "".join(f"wrong{n}: 1\n" for n in range(300))
    assert folder.complaint(text).endswith("\n… and 250 more")


def test_the_caret_stands_under_its_character_also_after_wide_ones(folder):
    # Two columns each in a terminal.
    assert folder.complaint(SMALLEST + "metadata: {温度: 1, 温度: 2}\n").endswith(
        "\n    3 | metadata: {温度: 1, 温度: 2}\n      |                     ^"
    )


def test_a_long_line_is_cut_around_the_caret(folder):
    excerpt = folder.complaint(
        f"{SMALLEST}limits: {{x-a: {'-' * 300}, colour: {'-' * 300}}}\n"
    ).splitlines()[1:]
    assert excerpt[0].index("colour") == excerpt[1].index("^")
    assert len(excerpt[0]) < 120
