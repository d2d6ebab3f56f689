"""One run through the recipe: what it leaves, how it resumes, how a signal stops it."""

import json
import re
import shutil
import signal

import pytest
import torch

import ilvf
from helpers import TINY
from ilvf.envs import Encircle
from ilvf.experiment.history import read_runs
from run_helpers import (
    assert_same_learning,
    folder_with_store,
    last_checkpoint,
    logged_frames,
    metric_history,
    mlflow_client,
    only_mlflow_run,
    only_run,
)

# ---------------------------------------------------------------------- what a run leaves


def test_a_run_prints_where_everything_is(out, recipe, capsys):
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    output = capsys.readouterr().out
    assert f"checkpoint   {only_run(out)}/checkpoints/last.ckpt" in output
    assert f"mlflow ui --workers 1 --backend-store-uri sqlite:///{out}/mlflow.db" in output
    assert "charts at    http://127.0.0.1:5000/#/experiments/1/runs?" in output
    assert re.search(r"return/team +-\d", output)


def test_a_run_is_recorded_in_mlflow(out, recipe):
    assert recipe("ilvf_p", *TINY, f"out={out}", "seed=7") == 0
    run = only_mlflow_run(out)
    assert run.info.status == "FINISHED"
    assert run.data.params["algorithm.tau"] == "1.0"
    assert run.data.params["seed"] == "7"
    tags = run.data.tags
    assert re.fullmatch(r"[0-9a-f]{40}", tags["git.sha"])
    assert tags["git.dirty"] in ("True", "False")
    assert tags["version.torch"] == torch.__version__
    assert int(tags["hardware.cores"]) >= 1
    metrics = {"time/wall_s", "time/frames_per_s", "eval/return/team", "attention/auroc_reward"}
    assert metrics <= set(run.data.metrics)
    assert logged_frames(out) == [40, 80]


def test_the_files_of_a_run_are_stored_with_it(out, recipe):
    assert recipe("ilvf_p", *TINY, f"out={out}", "trainer.pictures=true") == 0
    run = only_mlflow_run(out).info.run_id
    files = set()
    for folder in ("checkpoints", "pictures", None):
        files |= {file.path for file in mlflow_client(out).list_artifacts(run, folder)}
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml"} <= files
    names = ("learning-curve", "influence-00000080", "episode-00000080")
    assert {f"pictures/{name}.png" for name in names} <= files
    assert (out / "artifacts" / run).is_dir()  # beside the store


def test_a_trained_policy_acts(out, recipe):
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    policy = ilvf.load_policy(only_run(out) / "checkpoints" / "best.ckpt")
    observation = Encircle(4, num_envs=5, seed=0).reset()["agents", "observation"]
    action = policy(observation)
    assert action.shape == (5, 4)
    assert torch.equal(policy(observation[2]), action[2])
    samples = torch.stack([policy(observation, deterministic=False) for _ in range(50)])
    assert samples.unique().numel() == 5
    with pytest.raises(ilvf.UsageError, match=r"\[..., 4, 18\]"):
        policy(observation[..., :7])


# ---------------------------------------------------------------------- resuming
@pytest.mark.slow
@pytest.mark.parametrize("influence", ["learned", "ones"])
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(out, store, recipe, influence):
    whole = folder_with_store(out / "whole", store)
    halves = folder_with_store(out / "halves", store)
    # seven steps, so that episodes do not end with the rollout
    options = (*TINY, "algorithm.rollout_steps=7", f"algorithm.influence={influence}")
    assert recipe("ilvf_p", *options, f"out={whole}", "trainer.max_epochs=6") == 0
    assert recipe("ilvf_p", *options, f"out={halves}", "trainer.max_epochs=3") == 0
    assert recipe("ilvf_p", "resume=last", f"out={halves}", "trainer.max_epochs=6") == 0
    assert_same_learning(whole, halves)
    assert last_checkpoint(whole)["ilvf"]["state"]["frames"] == 6 * 4 * 7
    assert metric_history(whole) == metric_history(halves)  # in one MLflow run


@pytest.mark.slow
def test_options_given_to_a_resumed_run_count_and_are_recorded(out, recipe):
    assert recipe("ilvf_p", *TINY, f"out={out}", "algorithm.influence=ones") == 0
    options = ("trainer.max_epochs=3", "algorithm.lr=0.1", "algorithm.influence=identity")
    assert recipe("ilvf_p", "resume=last", f"out={out}", *options) == 0
    assert metric_history(out, "influence/density")[-1][1] == 0
    groups = last_checkpoint(out)["optimizer_states"][0]["param_groups"]
    assert {group["lr"] for group in groups} == {0.1}
    changes = only_mlflow_run(out).data.tags["resume.changes"]
    assert json.loads(changes)["algorithm.lr"] == 0.1
    assert json.loads(changes)["algorithm.influence"] == "identity"
    (run,) = read_runs(f"sqlite:///{out / 'mlflow.db'}", "encircle", "reward/agent_step")
    assert run.params["algorithm.influence"] == "ones → identity"  # `compare` does not mix them
    assert run.params["trainer.max_epochs"] == "3"


@pytest.mark.slow
def test_a_copied_checkpoint_begins_a_run_of_its_own(out, store, recipe):
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    other = folder_with_store(out / "other", store)
    shutil.copy(only_run(out) / "checkpoints" / "last.ckpt", other / "copy.ckpt")
    resume = f"resume={other / 'copy.ckpt'}"
    assert recipe("ilvf_p", resume, f"out={other}", "trainer.max_epochs=3") == 0
    assert logged_frames(other) == [120]


# ---------------------------------------------------------------------- signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_its_iteration(number, out, recipe, capfd, monkeypatch):
    """The signal comes in the third iteration; the checkpoint is that of the last logged one."""
    calls = []
    reward = Encircle.reward

    def interrupting_reward(env, world):
        calls.append(1)
        if len(calls) == 25:  # 10 steps an iteration
            signal.raise_signal(number)
        return reward(env, world)

    monkeypatch.setattr(Encircle, "reward", interrupting_reward)
    options = ("trainer.max_epochs=100", "algorithm.eval_every=100")
    assert recipe("ilvf_p", *TINY, f"out={out}", *options) == 128 + number
    said = capfd.readouterr()
    assert f"stopped by {number.name}" in said.out
    assert "Traceback" not in said.out + said.err
    assert logged_frames(out) == [40, 80, 120]
    assert last_checkpoint(out)["ilvf"]["state"]["frames"] == 120
    assert only_mlflow_run(out).info.status == "KILLED"
