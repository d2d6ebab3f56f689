"""Shared fixtures: a migrated MLflow store, recipes run in this process, expected errors."""

import importlib
import os
import shutil
import sys
from contextlib import contextmanager, nullcontext

import pytest
from filelock import FileLock

from ilvf.errors import UsageError, run_recipe
from ilvf.starting import starting

with starting():  # without searches for garbage
    import torch

    from helpers import ROOT

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


@pytest.fixture(autouse=True)
def _traci_alone(request, tmp_path_factory):
    """Tests of TraCI wait for each other: two that start at once could choose the same port."""
    lock = nullcontext()
    if "traci" in request.node.nodeid:
        lock = FileLock(tmp_path_factory.getbasetemp().parent / "traci.lock")
    with lock:
        yield


# ---------------------------------------------------------------------- several workers
def pytest_configure(config):
    """The workers of pytest-xdist take files in the order below, not those with most tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that no worker begins a long one at the end."""
    with_slow_tests = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in with_slow_tests)
