"""Which checkpoint a word means, in one process and in several."""

import os
import time
from datetime import timedelta

import pytest
import torch.distributed as dist

from ilvf.checkpoints.files import RESUMED, find_checkpoint

JOB = "ilvf/job/0/"  # keys of decisions in torchrun's store begin with it


@pytest.fixture
def run(tmp_path):
    """run("a", 100): a run below `tmp_path` that was active 100 s ago; returns its checkpoint."""

    def make(name, age):
        checkpoint = tmp_path / name / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        then = time.time() - age
        os.utime(checkpoint, (then, then))
        return checkpoint

    return make


@pytest.fixture
def store(monkeypatch):
    """torchrun's store, and its variables for the process of rank 0 of two."""
    store = dist.TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20)
    )
    variables = {
        "TORCHELASTIC_RUN_ID": "job",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": "2",
        "RANK": "0",
        "LOCAL_RANK": "0",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return store


def decision_of_rank_0(store):
    """Number and text of the decision in the store."""
    for number in range(100):
        key = f"{JOB}{number}"
        if store.check([key]):
            return number, store.get(key).decode()
    raise AssertionError("the first process has told nothing")


def test_last_is_decided_by_the_first_process(run, store, tmp_path, monkeypatch):
    """Rank 1 looks later, when another run is the newest."""
    monkeypatch.setenv(RESUMED, "/stale/from/another/run.ckpt")
    chosen = run("chosen", 100)
    assert find_checkpoint("last", tmp_path) == chosen
    number, told = decision_of_rank_0(store)
    assert told.endswith(str(chosen))

    run("newer", 50)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    store.set(f"{JOB}{number + 1}", told)  # the numbers go on, as this is one process
    assert find_checkpoint("last", tmp_path) == chosen


def test_a_process_that_lightning_started_takes_the_checkpoint_of_the_first(
    run, tmp_path, monkeypatch
):
    chosen = run("chosen", 100)
    run("newer", 50)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv(RESUMED, str(chosen))
    assert find_checkpoint("last", tmp_path) == chosen


def test_a_run_that_does_not_exist_is_one_sentence(tmp_path, refused):
    with refused("no run with a checkpoint", str(tmp_path)):
        find_checkpoint("last", tmp_path)
