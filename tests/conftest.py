"""Shared: a ready MLflow store, and recipes run in this process as a user would call them."""

import importlib
import shutil
import sys

import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import ROOT
from ilvf.errors import UsageError

sys.path.insert(0, str(ROOT / "recipes"))
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A migrated, empty MLflow store, made once: migrations take ten seconds."""
    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def out(tmp_path, store, monkeypatch):
    """A folder for runs, its store ready."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("ILVF_RUN_DIR", raising=False)
    shutil.copy(store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def recipe(monkeypatch):
    """recipe("ilvf_p", "seed=1", ...) runs `recipes/ilvf_p.py seed=1 ...`; its exit code, 0 if it just returns."""

    def run(name: str, *args: str) -> int:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "recipes" / f"{name}.py"), *map(str, args)])
        monkeypatch.delenv("ILVF_RUN_DIR", raising=False)
        from ilvf.errors import run_recipe

        try:
            run_recipe(importlib.import_module(name).main)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.fixture
def refused():
    """with refused("lr=-1", "positive"): the block must raise a UsageError whose sentence has all these words."""
    from contextlib import contextmanager

    @contextmanager
    def check(*words: str):
        with pytest.raises(UsageError) as caught:
            yield
        sentence = str(caught.value)
        assert "\n" not in sentence
        assert all(w in sentence for w in words), sentence

    return check
