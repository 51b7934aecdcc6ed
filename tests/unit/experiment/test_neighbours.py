"""What an experiment imported from its own folder is kept with the run."""

from pymanip_run.experiment.build.plan import prepare


def texts(folder, **modules):
    for name, source in modules.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    (folder / "experiment.yaml").write_text("module: tasks.py\ntasks: [read]\n")
    with prepare(folder / "experiment.yaml") as plan:
        return plan.run_texts


READ = "async def read(sesn):\n    pass\n"


def test_a_module_alone_is_kept_once(tmp_path):
    found = texts(tmp_path, tasks=READ)
    assert found["module"] == READ
    assert "modules" not in found


def test_other_modules_of_the_folder_are_kept_without_their_secrets(tmp_path):
    found = texts(
        tmp_path,
        tasks=f"import supply\nfrom drivers import pump\n{READ}",
        supply="password = 'hunter2'\n",
        drivers__pump="FLOW = 3\n",
        unused="x = 1\n",
    )
    assert found["modules"] == (
        "# ----- drivers/pump.py -----\nFLOW = 3\n\n# ----- supply.py -----\npassword = '***'\n"
    )


def test_an_environment_in_the_folder_is_no_part_of_the_experiment(tmp_path):
    path = tmp_path / ".venv" / "lib" / "site-packages"
    tasks = f"import sys\nsys.path.append({str(path)!r})\nimport installed\nsys.path.pop()\n{READ}"
    path.mkdir(parents=True)
    (path / "installed.py").write_text("x = 1\n")
    assert "modules" not in texts(tmp_path, tasks=tasks)


def test_huge_modules_are_left_out(tmp_path):
    found = texts(tmp_path, tasks=f"import a, b\n{READ}", a="x = 1\n", b="y = 1\n" * 300_000)
    assert found["modules"] == "# ----- a.py -----\nx = 1\n"
