"""Fixtures of sweeps."""

import shutil

import pytest


@pytest.fixture
def folder(out):
    """The folder of a sweep, with a migrated store."""
    folder = out / "sweeps" / "a"
    folder.mkdir(parents=True)
    shutil.copy(out / "mlflow.db", folder)
    return folder
