"""The comparison with JaxMARL: our side of it, and what it says of a side that fails."""

import importlib
import os
import re
import sys

import pytest

from helpers import ROOT

FOLDER = ROOT / "benchmarks" / "against_jaxmarl"
SMALL = ("env.horizon=10", "algorithm.hidden=8", "algorithm.num_envs=2", "algorithm.epochs=1")
CORE = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("frames_per_s")


def test_ours_trains_and_prints_frames_per_second(comparison):
    assert (
        comparison.rate([sys.executable, str(FOLDER / "ours.py"), "4", "2", *SMALL], core=CORE) > 0
    )


def test_a_side_that_fails_says_why(comparison):
    words = [sys.executable, "-c", "raise SystemExit('no JaxMARL here')"]
    with pytest.raises(SystemExit, match="no JaxMARL here"):
        comparison.rate(words, core=CORE)


def test_both_sides_have_the_same_sizes():
    theirs = (FOLDER / "theirs.py").read_text()
    ours = (FOLDER / "ours.py").read_text()
    for name, key in (
        ("UPDATE_EPOCHS", "algorithm.epochs"),
        ("NUM_MINIBATCHES", "algorithm.minibatches"),
    ):
        number = re.search(rf'"{name}": (\d+)', theirs)[1]
        assert f'"{key}={number}"' in ours
    for name, constant in (("NUM_ENVS", "ENVS"), ("NUM_STEPS", "STEPS")):
        assert (
            re.search(rf'"{name}": (\d+)', theirs)[1] == re.search(rf"{constant} = (\d+)", ours)[1]
        )
