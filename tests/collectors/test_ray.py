"""Rollouts from Ray actors; skipped only where Ray is not installed."""

import os
import signal
import sys

import pytest

from collector_helpers import made, trained
from helpers import TINY, assert_same_state
from ilvf.collectors.ray_actor import connect


def test_a_missing_ray_is_one_sentence(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert recipe("ippo", *TINY, "trainer.collector=ray", f"out={tmp_path}") == 2
    assert 'trainer.collector=ray needs Ray: pip install "ilvf[ray]"' in capsys.readouterr().err


@pytest.fixture(scope="module")
def ray():
    """Ray with two CPUs of this machine."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_a_killed_actor_is_started_again_and_the_training_is_that_of_processes(ray, tmp_path):
    def kill_actor(module):
        actor = module.collector.workers[1].actor
        number = ray.get(actor.__ray_call__.remote(lambda service: os.getpid()))
        os.kill(number, signal.SIGKILL)

    whole = made("mappo")
    trained(whole, tmp_path / "whole")
    module = made("mappo", "ray")
    with pytest.warns(UserWarning, match="worker 1 was lost.*1 of at most 2 times"):
        trained(module, tmp_path / "killed", kill=kill_actor)
    assert_same_state(whole, module)
    assert ray.is_initialized()  # the program has connected, so that it stays


@pytest.mark.slow
def test_too_few_cpus_are_one_sentence(ray, refused):
    with refused("trainer.collector_workers=3 needs as many CPUs, and Ray has 2"):
        connect(3)
