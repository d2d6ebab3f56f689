"""Several runs: seeds and their comparison, one fresh store, several processes."""

import json
import re
import subprocess
import sys

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

import ilvf
from helpers import TINY
from ilvf.envs import Encircle
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


def test_two_processes_may_create_one_store_at_the_same_time(tmp_path, monkeypatch):
    """Each one opens a store that does not exist and logs a run."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    command = [sys.executable, "-c", OPEN_AND_LOG, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        output_of(process)
    runs = mlflow_runs(tmp_path)
    assert [run.info.status for run in runs] == ["FINISHED"] * 2


# ---------------------------------------------------------------------- seeds
def test_seeds_run_in_processes_below_a_parent_are_compared_evaluated_and_resumed(
    out, recipe, capfd
):
    """Two seeds of the learned influence, and one run with the reward graph."""
    assert recipe("ilvf_p", *TINY, f"out={out}", "seeds=0-1") == 0
    first, second = run_folders(out)
    require_parent(out)
    assert recipe("ilvf_p", *TINY, f"out={out}", "algorithm.influence=reward_graph") == 0
    assert len(run_folders(out)) == 3
    require_comparison(out, recipe, capfd)
    require_evaluation(second, recipe, capfd)
    require_resumed_parent(out, recipe, first, second)


def parent_in(out):
    (parent,) = [run for run in mlflow_runs(out) if "seeds.number" in run.data.tags]
    return parent


def children_in(out):
    """The runs below the parent, by seed."""
    parent = parent_in(out).info.run_id
    runs = [r for r in mlflow_runs(out) if r.data.tags.get("mlflow.parentRunId") == parent]
    return {run.data.tags["seed"]: run for run in runs}


def summary_of(out):
    """(frames → mean of the evaluation) of the parent of the seeds in `out`."""
    client = mlflow_client(out)
    history = client.get_metric_history(parent_in(out).info.run_id, "eval/return/team")
    return {point.step: point.value for point in history}


def mean_evaluation(out):
    values = [run.data.metrics["eval/return/team"] for run in children_in(out).values()]
    assert len(values) == 2
    return pytest.approx(sum(values) / 2)


def require_parent(out):
    """The parent of two finished seeds has their settings and their means."""
    parent = parent_in(out)
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name.startswith("ILVF-P · encircle n=4 · horizon=10 · ")
    assert parent.info.run_name.endswith(" · seeds 0-1")
    assert parent.data.tags["algorithm"] == "ILVF-P"
    assert parent.data.params["env.n_agents"] == "4"
    assert "seeds=0-1`" in parent.data.tags["mlflow.note.content"]
    assert sorted(children_in(out)) == ["0", "1"]
    settings = {run.data.tags["setting"] for run in (parent, *children_in(out).values())}
    assert len(settings) == 1
    assert summary_of(out) == {80: mean_evaluation(out)}
    assert parent.data.metrics["seeds/finished"] == 2
    assert parent.data.metrics["eval_sd/return/team"] > 0


def require_comparison(out, recipe, capfd):
    """`compare` counts the seeds, draws the curves, and refuses what it does not find."""
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


def require_evaluation(run, recipe, capfd):
    """`evaluate` plays the episodes of the last evaluation again, or others."""
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


def require_resumed_parent(out, recipe, first, second):
    """The last seed that finishes brings the parent up to date, whoever has started it."""
    (first / "checkpoints" / "best.ckpt").unlink()
    assert recipe("ilvf_p", f"resume={first}", f"out={out}", "trainer.max_epochs=3") == 0
    assert list(summary_of(out)) == [80]
    require_policy_after_resume(out, first)
    assert recipe("ilvf_p", f"resume={second}", f"out={out}", "trainer.max_epochs=3") == 0
    assert sorted(children_in(out)) == ["0", "1"]
    assert summary_of(out)[120] == mean_evaluation(out)


def require_policy_after_resume(out, folder):
    """The run of seed 0 has two policies, of 80 and of 120 frames; its URI means the second."""
    run = children_in(out)["0"].info
    models = mlflow_client(out).search_logged_models([run.experiment_id], "name = 'policy'")
    frames = [model.params["frames"] for model in models if model.source_run_id == run.run_id]
    assert sorted(frames) == ["120", "80"]
    mlflow.set_tracking_uri(f"sqlite:///{out / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/policy")
    mlflow.set_tracking_uri(None)
    last = ilvf.load_policy(folder / "checkpoints" / "last.ckpt")
    x = Encircle(4, num_envs=50, seed=0).reset()["agents", "observation"]
    assert np.array_equal(model.predict(x.numpy()), last(x).numpy())


# ---------------------------------------------------------------------- comparison
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
