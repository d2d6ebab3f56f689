"""Failures during a run: NaN losses, and MLflow stores that fail or cannot be reached."""

import re
import socket

import pytest
import torch
from lightning.pytorch.loggers import MLFlowLogger

from helpers import TINY
from ilvf.envs import Encircle
from ilvf.experiment import store as store_module
from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.experiment.tracking import MLflowTracker
from run_helpers import last_checkpoint, logged_frames, only_mlflow_run, only_run, run_folders


def test_a_nan_ends_the_run_and_keeps_the_last_good_checkpoint(out, recipe, capsys, monkeypatch):
    """Rewards become NaN in the third iteration."""
    calls = []
    reward = Encircle.reward

    def poisoned_reward(env, world):
        calls.append(1)
        factor = float("nan") if len(calls) > 25 else 1.0
        return reward(env, world) * factor

    monkeypatch.setattr(Encircle, "reward", poisoned_reward)
    options = ("trainer.max_epochs=5", "algorithm.eval_every=100")
    assert recipe("ilvf_p", *TINY, f"out={out}", *options) == 2
    message = r"error: the entry \('next', 'agents', 'reward'\) of the rollout has NaN"
    assert re.search(message, capsys.readouterr().err)
    saved = last_checkpoint(out)
    assert saved["ilvf"]["state"]["frames"] == 80  # two iterations of 40 frames were good
    assert all(torch.isfinite(value).all() for value in saved["state_dict"].values())
    assert only_mlflow_run(out).info.status == "FAILED"


# ---------------------------------------------------------------------- servers
@pytest.fixture
def closed_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_server_that_cannot_be_reached(out, recipe, capsys, monkeypatch, closed_port):
    """The run ends before it begins, after one attempt with a time limit."""
    limits = []
    urlopen = store_module.urllib.request.urlopen

    def watched_urlopen(url, timeout):
        limits.append(timeout)
        return urlopen(url, timeout=timeout)

    monkeypatch.setattr(store_module.urllib.request, "urlopen", watched_urlopen)
    uri = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert recipe("ilvf_p", *TINY, f"out={out}") == 2
    assert limits == [store_module.PROBE]
    pattern = rf"error: the MLflow server {uri} .* cannot be reached"
    assert re.search(pattern, capsys.readouterr().err)
    assert not run_folders(out)


# ---------------------------------------------------------------------- stores
@pytest.mark.slow
def test_a_store_that_fails_during_a_run(out, recipe, monkeypatch, recwarn):
    """The database disappears after the first iteration.

    Training continues and warns once; the next start sends what the store lacks.
    """
    store = out / "mlflow.db"
    log_metrics = MLflowTracker.log_metrics
    calls = []

    def log_after_sabotage(tracker, metrics, step=None):
        calls.append(step)
        if len(calls) == 2:
            store.rename(out / "gone.db")
            store.mkdir()  # sqlite cannot open a folder
            tracker.experiment._tracking_client.store.engine.dispose()
        log_metrics(tracker, metrics, step)

    with monkeypatch.context() as patch:
        patch.setattr(MLflowTracker, "log_metrics", log_after_sabotage)
        assert recipe("ilvf_p", *TINY, f"out={out}", "trainer.max_epochs=4") == 0
    warnings = [str(warning.message) for warning in recwarn]
    assert len([text for text in warnings if "MLflow failed" in text]) == 1
    run = only_run(out)
    assert [row["frames"] for row in read_rows(run / METRICS)] == [40, 80, 120, 160]
    assert (run / "checkpoints" / "best.ckpt").exists()

    store.rmdir()
    (out / "gone.db").rename(store)
    assert logged_frames(out) == [40]
    assert recipe("ilvf_p", f"resume={run}", f"out={out}", "trainer.max_epochs=5") == 0
    assert logged_frames(out) == [40, 80, 120, 160, 200]


def test_records_wait_for_a_store_that_comes_back(out, recipe, monkeypatch):
    """The store fails once; every record arrives in the end."""
    log_metrics = MLFlowLogger.log_metrics
    calls = []

    def log_with_one_failure(logger, metrics, step=None):
        calls.append(step)
        if len(calls) == 2:
            raise OSError("the network is down")
        log_metrics(logger, metrics, step)

    monkeypatch.setattr(MLFlowLogger, "log_metrics", log_with_one_failure)
    assert recipe("ilvf_p", *TINY, f"out={out}", "trainer.max_epochs=4") == 0
    assert logged_frames(out) == [40, 80, 120, 160]
