"""An experiment in a folder of its own."""

import pytest

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.load.loading import load_experiment

SMALLEST = "module: tasks.py\ntasks: [read]\n"


class Folder:
    """Writes experiment files, reads them, and tells what is said about them."""

    def __init__(self, path):
        self.path = path

    def write(self, text, module=None):
        (self.path / "experiment.yaml").write_text(text, encoding="utf-8", newline="")
        if module is not None:
            (self.path / "tasks.py").write_text(module, encoding="utf-8")

    def load(self, text, *overrides):
        self.write(text)
        return load_experiment("experiment.yaml", overrides)

    def model(self, text, *overrides):
        return self.load(SMALLEST + text, *overrides).model

    def complaint(self, text, *overrides):
        self.write(text)
        with pytest.raises(ConfigError) as caught:
            load_experiment("experiment.yaml", overrides)
        return str(caught.value)

    def complaint_of_run(self, text, module, *overrides):
        self.write(text, module)
        before = sorted(self.path.iterdir())
        with pytest.raises(ConfigError) as caught, prepare("experiment.yaml", overrides):
            raise AssertionError
        assert sorted(self.path.iterdir()) == before, "nothing is created"
        return str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)
