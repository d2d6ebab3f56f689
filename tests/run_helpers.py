"""Whole runs in the tests: their folders, checkpoints, MLflow records and processes."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from helpers import ROOT

PATIENCE = 300.0  # [s] after which a process that hangs fails its test


# ---------------------------------------------------------------------- folders
def run_folders(out: Path) -> list[Path]:
    """The folders of all runs below `out`."""
    return sorted(path.parent for path in out.glob("*/checkpoints"))


def only_run(out: Path) -> Path:
    """The folder of the one run below `out`."""
    (folder,) = run_folders(out)
    return folder


def last_checkpoint(out: Path) -> dict[str, Any]:
    """The content of `last.ckpt` of the one run below `out`."""
    return torch.load(only_run(out) / "checkpoints" / "last.ckpt", weights_only=True)


def folder_with_store(folder: Path, store: Path) -> Path:
    """Make `folder`, with a copy of the MLflow store; returns it."""
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(store.read_bytes())
    return folder


def assert_same_learning(first: Path, second: Path) -> None:
    """The runs below two folders have the same parameters, Adam moments and frames, bit for bit."""
    one = last_checkpoint(first)
    other = last_checkpoint(second)
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for key, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][key]), key
    moments = one["optimizer_states"][0]["state"]
    for index, state in other["optimizer_states"][0]["state"].items():
        assert torch.equal(state["exp_avg"], moments[index]["exp_avg"])
    assert one["ilvf"]["state"]["frames"] == other["ilvf"]["state"]["frames"]


# ---------------------------------------------------------------------- MLflow
def mlflow_client(out: Path) -> MlflowClient:
    """A client of the store in `out`."""
    return MlflowClient(f"sqlite:///{out / 'mlflow.db'}")


def mlflow_runs(out: Path) -> list[Run]:
    """All runs of the experiment "encircle" in the store of `out`."""
    client = mlflow_client(out)
    return client.search_runs([client.get_experiment_by_name("encircle").experiment_id])


def only_mlflow_run(out: Path) -> Run:
    """The one run in the store of `out`."""
    (run,) = mlflow_runs(out)
    return run


def metric_history(out: Path, key: str = "reward/agent_step") -> list[tuple[int, float]]:
    """(frames, value) of a metric of the one run in the store of `out`."""
    run = only_mlflow_run(out).info.run_id
    history = mlflow_client(out).get_metric_history(run, key)
    return [(metric.step, metric.value) for metric in history]


def logged_frames(out: Path) -> list[int]:
    """The frames at which the one run in the store of `out` logged its reward."""
    return [step for step, _ in metric_history(out)]


# ---------------------------------------------------------------------- processes
def start_recipe(out: Path, name: str, *arguments: str) -> subprocess.Popen[str]:
    """A recipe in a process of its own, on one thread."""
    environment = dict(os.environ)
    environment.pop("MLFLOW_TRACKING_URI", None)
    environment.pop("ILVF_RUN_DIR", None)
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.Popen(
        [sys.executable, str(ROOT / "recipes" / f"{name}.py"), *arguments, f"out={out}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    """What a process prints until it ends; its exit code must be 0."""
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def wait_for_iterations(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until the run below `out` has logged `count` iterations and saved a checkpoint."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for log in out.glob("*/metrics.jsonl"):
            enough = len(log.read_text().splitlines()) >= count
            if enough and (log.parent / "checkpoints" / "last.ckpt").exists():
                return
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the run did not reach {count} iterations: {process.communicate()[0]}")
