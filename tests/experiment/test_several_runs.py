"""Several runs: seeds and their comparison, one fresh store, several processes."""

import json
import re
import subprocess
import sys

import pytest
from mlflow.tracking import MlflowClient

from helpers import TINY
from ilvf.experiment.store import open_store, tracking_uri
from run_helpers import (
    mlflow_client,
    mlflow_runs,
    output_of,
    run_folders,
)

pytestmark = pytest.mark.slow

OPEN_AND_LOG = """
import sys
from pathlib import Path
from mlflow.tracking import MlflowClient
from ilvf.experiment.store import open_store, tracking_uri

uri = tracking_uri(Path(sys.argv[1]))
open_store(uri, Path(sys.argv[1]), "encircle")
client = MlflowClient(uri)
run = client.create_run(client.get_experiment_by_name("encircle").experiment_id)
for step in range(20):
    client.log_metric(run.info.run_id, "reward", 1.0, step=step)
client.set_terminated(run.info.run_id)
"""


def test_three_processes_may_create_one_store_at_the_same_time(tmp_path, monkeypatch):
    """Each one opens a store that does not exist and logs a run."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    command = [sys.executable, "-c", OPEN_AND_LOG, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        output_of(process)
    runs = mlflow_runs(tmp_path)
    assert [run.info.status for run in runs] == ["FINISHED"] * 3


def test_seeds_run_in_processes_and_are_compared_and_evaluated_again(out, recipe, capfd):
    """Two seeds of the learned influence, and one run with the reward graph."""
    assert recipe("ilvf_p", *TINY, f"out={out}", "seeds=0-1") == 0
    assert recipe("ilvf_p", *TINY, f"out={out}", "algorithm.influence=reward_graph") == 0
    assert len(run_folders(out)) == 3

    capfd.readouterr()
    assert recipe("compare", f"out={out}") == 0
    table = capfd.readouterr().out
    assert re.search(r"ILVF-P, influence=learned +2 ", table)
    gain_of_the_oracle = r"1\.00\s"  # the share of its own gain
    assert re.search(rf"influence=reward_graph +1 .* {gain_of_the_oracle}", table)
    assert "nan" not in table
    assert "inf]" not in table
    assert (out / "compare-encircle.png").stat().st_size > 10_000
    refused = {
        "compare.metric=no/such": "no finished run with no/such in the experiment encircle",
        "compare.where=nonsense": "is no MLflow filter",
        "compare.experiment=pcp": "there is no experiment pcp; experiments with finished runs: enc",
        "env=encircle": "unknown key 'env'",
    }
    for word, sentence in refused.items():
        assert recipe("compare", f"out={out}", word) == 2
        assert sentence in capfd.readouterr().err
    assert {e.name for e in mlflow_client(out).search_experiments()} == {"Default", "encircle"}

    (run,) = [folder for folder in run_folders(out) if "-s1-" in folder.name]
    last_row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    capfd.readouterr()
    last = f"checkpoint={run / 'checkpoints' / 'last.ckpt'}"
    assert recipe("evaluate", last, "animation=false") == 0
    team_return = float(re.search(r"return/team +(-[\d.]+)", capfd.readouterr().out)[1])
    assert team_return == pytest.approx(last_row["eval/return/team"], abs=1e-3)
    assert (run / "checkpoints" / "last-episode.png").exists()
    other = ("algorithm.eval_episodes=5", "seed=3", "animation=false")
    assert recipe("evaluate", f"checkpoint={run}", *other) == 0
    assert "5 episodes" in capfd.readouterr().out


def test_the_experiment_of_the_newest_run_is_compared(tmp_path, capsys, recipe):
    for name in ("matching", "gifts"):
        open_store(tracking_uri(tmp_path), tmp_path, name)
    client = mlflow_client(tmp_path)
    for name in ("matching", "gifts", "matching"):
        place = client.get_experiment_by_name(name).experiment_id
        run = client.create_run(place).info.run_id
        client.log_param(run, "seed", 0)
        client.log_metric(run, "reward/agent_step", 1.0, step=10)
        client.set_terminated(run)
    assert recipe("compare", f"out={tmp_path}") == 0
    printed = capsys.readouterr().out
    assert "\nexperiment matching\nothers, for compare.experiment=: gifts\n" in printed
    assert (tmp_path / "compare-matching.png").is_file()


def test_the_store_of_the_variable_is_compared(tmp_path, recipe, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    open_store(tracking_uri(tmp_path), tmp_path, "encircle")
    client = MlflowClient(tracking_uri(tmp_path))
    run = client.create_run(client.get_experiment_by_name("encircle").experiment_id).info.run_id
    client.log_param(run, "seed", 0)
    client.log_metric(run, "reward/agent_step", 1.0, step=10)
    client.set_terminated(run)
    assert recipe("compare", f"out={tmp_path}") == 0


def test_a_folder_without_runs_cannot_be_compared(tmp_path, recipe, capsys):
    assert recipe("compare", f"out={tmp_path / 'nowhere'}") == 2
    open_store(tracking_uri(tmp_path), tmp_path)
    assert recipe("compare", f"out={tmp_path}") == 2
    assert "has no finished run" in capsys.readouterr().err
