"""Shared fixtures: a migrated MLflow store, recipes run in this process, expected errors."""

import importlib
import os
import shutil
import sys
from contextlib import contextmanager

import pytest
import torch

from helpers import ROOT
from ilvf.errors import UsageError, run_recipe

sys.path.insert(0, str(ROOT / "recipes"))
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start


@pytest.fixture(autouse=True)
def _environment_variables():
    """Runs leave variables for their other processes; no test sees those of another."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A migrated, empty MLflow store, made once because migrations take seconds."""
    folder = tmp_path_factory.mktemp("store")
    from mlflow.tracking import MlflowClient

    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def out(tmp_path, store, monkeypatch):
    """A folder for runs, with a migrated MLflow store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("ILVF_RUN_DIR", raising=False)
    shutil.copy(store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def recipe(monkeypatch):
    """recipe("ilvf_p", "seed=1", ...) runs `recipes/ilvf_p.py seed=1 ...`: its exit code."""

    def run(name: str, *args: str) -> int:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "recipes" / f"{name}.py"), *map(str, args)])
        monkeypatch.delenv("ILVF_RUN_DIR", raising=False)
        try:
            run_recipe(importlib.import_module(name).main)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.fixture
def refused():
    """`with refused("lr=-1", "positive"):` expects a UsageError of one line with these words."""

    @contextmanager
    def check(*words: str):
        with pytest.raises(UsageError) as caught:
            yield
        sentence = str(caught.value)
        assert "\n" not in sentence
        assert all(word in sentence for word in words), sentence

    return check


EXPENSIVE = ("site", "answers", "bin_folder")  # fixtures that take ten seconds or more to make


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests that share an expensive fixture run in one worker, which makes it once.

    So do tests of TraCI: two that start at once could choose the same free port.
    """
    for item in items:
        groups = [name for name in EXPENSIVE if name in item.fixturenames]
        if "traci" in item.nodeid:
            groups.append("traci")
        for group in groups:
            item.add_marker(pytest.mark.xdist_group(group))
