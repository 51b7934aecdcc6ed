"""The task module: what is wrong with it is found before anything is opened."""

import sys

import pytest

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.build.plan import prepare

SMALLEST = "module: tasks.py\ntasks: [read]\n"


def complaint(folder, tasks, module):
    return folder.complaint_of_run(f"module: tasks.py\ntasks:\n{tasks}", module)


def test_a_missing_function_offers_the_nearest_one(folder):
    assert folder.complaint_of_run(
        SMALLEST, "async def read_it(sesn): ...\nasync def reed(sesn): ...\n"
    ) == (
        "tasks.py: defines no coroutine 'read'; did you mean 'reed'? (asked for at experiment.yaml:2:9)"
    )


def test_without_a_near_one_the_functions_of_the_module_are_told(folder):
    module = (
        "from asyncio import sleep\nasync def log(sesn): ...\ndef heat(): ...\nclass Cell: ...\n"
    )
    assert folder.complaint_of_run("module: tasks.py\ntasks: [zzz]\n", module) == (
        "tasks.py: defines no coroutine 'zzz'; it defines log, heat (asked for at experiment.yaml:2:9)"
    )


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("lab.read", "defines no coroutine 'lab.read'; something of a module is written  lab:read"),
        ("'tasks:'", "the name of the coroutine is missing after the ':'"),
    ],
)
def test_a_function_that_is_written_in_another_way_is_told_how(folder, use, said):
    text = f"module: tasks.py\ntasks: {{a: {{use: {use}}}}}\n"
    found = folder.complaint_of_run(text, "async def log(sesn): ...\n")
    assert found == f"tasks.py: {said} (asked for at experiment.yaml:2:18)"


def test_a_module_may_be_named_from_the_home_of_the_user(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.path / "home"))
    (folder.path / "home").mkdir()
    (folder.path / "home" / "tasks.py").write_text("async def read(): ...\n")
    folder.write("module: ~/tasks.py\ntasks: [read]\n")
    with prepare("experiment.yaml") as plan:
        assert [task.name for task in plan.tasks] == ["read"]


def test_the_file_is_named_as_the_experiment_was(folder, monkeypatch):
    folder.write(SMALLEST, "")
    monkeypatch.chdir(folder.path.parent)
    name = f"{folder.path.name}/experiment.yaml"
    with pytest.raises(ConfigError) as caught, prepare(name):
        pass
    assert str(caught.value) == (
        f"{folder.path.name}/tasks.py: defines no coroutine 'read' (asked for at {name}:2:9)"
    )


def test_a_syntax_error_is_shown_as_python_shows_it(folder):
    found = folder.complaint_of_run(SMALLEST, "async def read(:\n    pass\n")
    assert found == (
        "tasks.py: cannot be imported (asked for at experiment.yaml:1:9)\n"
        f'  File "{folder.path}/tasks.py", line 1\n'
        "    async def read(:\n"
        "                   ^\n"
        "SyntaxError: invalid syntax"
    )


def test_an_error_in_the_module_shows_the_users_lines_only(folder):
    (folder.path / "neighbour.py").write_text("def divide():\n    return 1 / 0\n")
    found = folder.complaint_of_run(SMALLEST, "import neighbour\nneighbour.divide()\n")
    assert "ZeroDivisionError: division by zero" in found
    assert found.count('  File "') == 2
    assert "importlib" not in found
    assert "pymanip_run" not in found


def test_the_causes_of_an_error_are_shown_without_our_lines_too(folder):
    module = "try:\n    import nothing_of_this_name\nexcept ImportError as e:\n    raise RuntimeError('x') from e\n"
    found = folder.complaint_of_run(SMALLEST, module)
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in found
    assert found.endswith("RuntimeError: x")
    assert "importlib" not in found


def test_a_module_that_ends_the_program_is_told_what_to_do(folder):
    assert folder.complaint_of_run(SMALLEST, "raise SystemExit(3)\n").startswith(
        "experiment.yaml:1:9: module: tasks.py ends the program (sys.exit) when it is imported; "
        'put that under  if __name__ == "__main__":'
    )


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            "task.py",
            "there is no file 'task.py' beside the experiment file; did you mean 'tasks.py'?",
        ),
        ("no_such_module_here", "there is no module 'no_such_module_here'"),
        ("json.nothing", "there is no module 'json.nothing'"),
        ("two words", "'two words' is neither a file such as tasks.py nor a dotted name"),
    ],
)
def test_a_missing_module_is_told_at_its_name(folder, module, message):
    found = folder.complaint_of_run(f"module: {module}\ntasks: [a]\n", "async def a(): ...\n")
    assert found.splitlines()[0] == f"experiment.yaml:1:9: module: {message}"


def test_errors_of_the_file_and_of_the_module_come_together(folder):
    found = complaint(
        folder, "  reed: {every: 10s}\n  log: {evry: 1s}\n", "async def read(sesn): ...\n"
    )
    lines = [line for line in found.splitlines() if line[0] != " "]
    assert lines == [
        "experiment.yaml:4:9: tasks.log.evry: unknown key 'evry'; did you mean 'every'?",
        "tasks.py: defines no coroutine 'reed'; did you mean 'read'? (asked for at experiment.yaml:3:3)",
    ]


@pytest.mark.parametrize(
    ("settings", "function", "message"),
    [
        ("{}", "async def a(sesn, gain): ...", "tasks.a: a() needs 'gain': give it under 'kwargs'"),
        ("{kwargs: {gian: 2}}", "async def a(sesn, gain=1): ...",
         "tasks.a.kwargs.gian: a() has no argument 'gian'; did you mean 'gain'?"),
        ("{kwargs: {x: 2}}", "async def a(x, /): ...", "tasks.a.kwargs.x: a() has no argument 'x'"),
        ("{sweep: {values: [1]}}", "async def a(sesn): ...", "tasks.a: a() must take the session, value"),
        ("{sweep: {values: [1]}}", "async def a(): ...", "tasks.a: a() must take value"),
        ("{sweep: {grid: {x: [1], y: [2]}}}", "async def a(sesn, value): ...",
         "tasks.a: a() must take the session, x, y"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_called_so_is_told_before_the_start(
    folder, settings, function, message
):
    assert f": {message}\n" in complaint(folder, f"  a: {settings}\n", f"{function}\n")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class a: ...", "'a' is a class, not a coroutine"),
        ("a = 3", "'a' is int, not a coroutine"),
        (
            "async def b(): ...\na = b()",
            "'a' is a coroutine that was called already; leave the parentheses out",
        ),
        ("async def a():\n    yield", "'a' has a 'yield' in it; a task must not"),
        ("def a():\n    yield", "'a' has a 'yield' in it; a task must not"),
    ],
)
def test_what_is_no_task_is_refused(folder, code, message):
    assert (
        complaint(folder, "  a:\n", f"{code}\n")
        == f"tasks.py: {message} (asked for at experiment.yaml:3:3)"
    )


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (
            "def setup(sesn):\n    yield\n",
            "'setup' has a 'yield' in it, with which it would not run",
        ),
        (
            "async def teardown(sesn):\n    yield\n",
            "'teardown' has a 'yield' in it, with which it would not run",
        ),
        (
            "def setup(sesn, supply, *, gain): ...\n",
            "setup() is called with the session and nothing else, but needs 'supply', 'gain'",
        ),
    ],
)
def test_a_setup_or_teardown_that_cannot_run_is_told_before_the_start(folder, hook, message):
    found = folder.complaint_of_run(SMALLEST, f"async def read(sesn): ...\n{hook}")
    assert found == f"tasks.py: {message}"


def test_a_setup_that_is_a_task_as_well_is_refused(folder):
    module = "async def read(sesn): ...\nasync def setup(sesn): ...\ndef teardown(sesn): ...\n"
    found = folder.complaint_of_run(
        "module: tasks.py\ntasks: {read: , setup: , end: {use: teardown}}\n", module
    )
    assert [line for line in found.splitlines() if line[0] != " "] == [
        "experiment.yaml:2:17: tasks.setup: setup() is run by itself before the tasks; take it out of them",
        "experiment.yaml:2:26: tasks.end: teardown() is run by itself after the tasks; take it out of them",
    ]


@pytest.mark.parametrize(
    "hook",
    ["setup(): ...", "setup(sesn): ...", "setup(sesn, gain=1): ...", "setup(*args, **kwargs): ..."],
)
def test_all_forms_of_a_setup_are_found(folder, hook):
    folder.write(SMALLEST, f"async def read(sesn): ...\ndef {hook}\n")
    with prepare("experiment.yaml") as plan:
        assert plan.setup.__name__ == "setup"


@pytest.mark.parametrize(
    ("settings", "function"),
    [
        ("{}", "async def a(): ..."),
        ("{}", "async def a(sesn): ..."),
        ("{}", "def a(sesn): ..."),
        ("{kwargs: {x: 1, y: 2}}", "async def a(sesn, x, *, y): ..."),
        ("{kwargs: {x: 1}}", "async def a(x): ..."),
        ("{kwargs: {x: 1}}", "async def a(sesn, **kw): ..."),
        ("{sweep: {values: [1]}}", "async def a(sesn, value): ..."),
        ("{sweep: {values: [1]}, kwargs: {n: 3}}", "async def a(value, n): ..."),
        ("{sweep: {grid: {x: [1], y: [2]}}}", "async def a(sesn, y, x): ..."),
        ("{sweep: {grid: {x: [1], y: [2]}}}", "async def a(*values): ..."),
        ("{use: b}", "async def b(): ..."),
        ("{use: tasks:b}", "async def b(): ..."),
        ("{use: B.c}", "class B:\n    @staticmethod\n    async def c(sesn): ..."),
        ("{use: neighbour:d}", ""),
        ("{sweep: {use: neighbour:points}}", "async def a(value): ..."),
    ],
)
def test_functions_are_found_in_all_their_forms(folder, settings, function):
    (folder.path / "neighbour.py").write_text("async def d(): ...\ndef points():\n    yield 1\n")
    folder.write(f"module: tasks.py\ntasks: {{a: {settings}}}\n", f"{function}\n")
    with prepare("experiment.yaml") as plan:
        assert [task.name for task in plan.tasks] == ["a"]


@pytest.mark.parametrize("name", ["random.py", "a-b.py", "pytest.py", "code/tasks.py"])
def test_a_module_takes_nothing_from_another_one_of_its_name(folder, name):
    before = dict(sys.modules)
    file = folder.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("async def read(): ...\n")
    folder.write(f"module: {name}\ntasks: [read]\n")
    with prepare("experiment.yaml"):
        assert {n: m for n, m in sys.modules.items() if n in before} == before


def test_nothing_of_an_experiment_is_left_in_the_process(folder):
    (folder.path / "neighbour.py").write_text("")
    folder.write(SMALLEST, "import neighbour\nasync def read(): ...\n")
    modules, path = set(sys.modules), list(sys.path)
    with prepare("experiment.yaml") as plan:
        assert sys.path == [*path, str(folder.path)]
        assert plan.module_source.startswith("import neighbour")
    assert set(sys.modules) == modules
    assert sys.path == path
    assert not list(folder.path.glob("**/*.pyc"))
