"""Whole runs through the recipe: resuming, stopping, several seeds, evaluating, comparing, and saying no."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from mlflow.tracking import MlflowClient

import ilvf
from helpers import ROOT, TINY
from ilvf.envs import Encircle
from ilvf.experiment.metrics_file import METRICS, read_rows

RECIPE = str(ROOT / "recipes" / "ilvf_p.py")


def run_dirs(out):
    return sorted(p.parent for p in out.glob("*/checkpoints"))


def only_run(out):
    (found,) = run_dirs(out)
    return found


def parameters(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def mlflow_runs(out):
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    return client, client.search_runs([client.get_experiment_by_name("encircle").experiment_id])


def curve(out, key="reward/agent_step"):
    client, (run,) = mlflow_runs(out)
    return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]


def start(out, *args):
    """The recipe in a process of its own."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "ILVF_RUN_DIR")
    }
    command = [sys.executable, RECIPE, *TINY, f"out={out}", *args]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )


def wait_for_iterations(out, n, process, timeout=120):
    """Until some run below `out` has logged n iterations and saved a checkpoint."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and process.poll() is None:
        logged = [p for p in out.glob("*/metrics.jsonl") if len(p.read_text().splitlines()) >= n]
        if logged and (logged[0].parent / "checkpoints" / "last.ckpt").exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {n} iterations: {process.communicate()[0]}")


# ---------------------------------------------------------------------- one run
def test_a_run_leaves_everything_a_user_needs(out, recipe, capsys):
    assert recipe("ilvf_p", *TINY, f"out={out}", "seed=7") == 0
    said = capsys.readouterr().out
    run_dir = only_run(out)
    assert f"checkpoint   {run_dir}/checkpoints/last.ckpt" in said
    assert f"mlflow ui --backend-store-uri sqlite:///{out}/mlflow.db" in said
    assert re.search(r"return/team +-\d", said)
    client, (run,) = mlflow_runs(out)
    assert run.info.status == "FINISHED"
    assert run.data.params["algorithm.tau"] == "1.0"
    assert run.data.params["seed"] == "7"
    tags = run.data.tags
    assert re.fullmatch(r"[0-9a-f]{40}", tags["git.sha"])
    assert tags["git.dirty"] in ("True", "False")
    assert tags["version.torch"] == torch.__version__
    assert int(tags["hardware.cores"]) >= 1
    assert {
        "time/wall_s",
        "time/frames_per_s",
        "eval/return/team",
        "attention/auroc_reward",
    } <= set(run.data.metrics)
    files = {
        f.path
        for k in ("checkpoints", "pictures", None)
        for f in client.list_artifacts(run.info.run_id, k)
    }
    assert {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "pictures/learning-curve.png",
        "config.yaml",
    } <= files
    assert {"pictures/influence-00000080.png", "pictures/episode-00000080.png"} <= files
    assert (out / "artifacts" / run.info.run_id).is_dir()  # beside the store
    assert [s for s, _ in curve(out)] == [40, 80]  # x axis: environment frames


def test_a_trained_policy_acts(out, recipe):
    recipe("ilvf_p", *TINY, f"out={out}")
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
@pytest.mark.parametrize("option", ["algorithm.influence=learned", "algorithm.influence=ones"])
def test_three_and_three_are_six(out, recipe, option):
    whole, halves = out / "whole", out / "halves"
    for folder in (whole, halves):
        folder.mkdir()
        (folder / "mlflow.db").write_bytes((out / "mlflow.db").read_bytes())
    args = (*TINY, "algorithm.rollout_steps=7", option)  # episodes do not end with the rollout
    assert recipe("ilvf_p", *args, f"out={whole}", "trainer.max_epochs=6") == 0
    assert recipe("ilvf_p", *args, f"out={halves}", "trainer.max_epochs=3") == 0
    assert recipe("ilvf_p", "resume=last", f"out={halves}", "trainer.max_epochs=6") == 0
    first, second = parameters(only_run(whole)), parameters(only_run(halves))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert curve(whole) == curve(halves)  # one MLflow run, one curve, the same numbers
    states = [
        torch.load(only_run(f) / "checkpoints" / "last.ckpt", weights_only=True)
        for f in (whole, halves)
    ]
    assert states[0]["ilvf"]["state"]["frames"] == states[1]["ilvf"]["state"]["frames"] == 6 * 4 * 7
    moments = [s["optimizer_states"][0]["state"] for s in states]
    assert all(torch.equal(moments[0][k]["exp_avg"], moments[1][k]["exp_avg"]) for k in moments[0])


def test_a_resumed_run_uses_what_it_is_given(out, recipe):
    """Another lr and another fixed influence: both count, and are recorded."""
    assert recipe("ilvf_p", *TINY, f"out={out}", "algorithm.influence=ones") == 0
    more = ("trainer.max_epochs=3", "algorithm.lr=0.1", "algorithm.influence=identity")
    assert recipe("ilvf_p", "resume=last", f"out={out}", *more) == 0
    assert curve(out, "influence/density")[-1][1] == 0
    saved = torch.load(only_run(out) / "checkpoints" / "last.ckpt", weights_only=True)
    assert {g["lr"] for g in saved["optimizer_states"][0]["param_groups"]} == {0.1}
    changes = mlflow_runs(out)[1][0].data.tags["resume.changes"]
    assert "'algorithm.lr': 0.1" in changes
    assert "'algorithm.influence': 'identity'" in changes


def test_a_checkpoint_from_elsewhere_begins_a_run_of_its_own(out, recipe, store):
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    other = out / "other"
    other.mkdir()
    (other / "mlflow.db").write_bytes(store.read_bytes())
    (other / "copy.ckpt").write_bytes((only_run(out) / "checkpoints" / "last.ckpt").read_bytes())
    assert (
        recipe("ilvf_p", f"resume={other / 'copy.ckpt'}", f"out={other}", "trainer.max_epochs=3")
        == 0
    )
    assert [s for s, _ in curve(other)] == [120]


def test_kill_9_and_resume(out, recipe):
    process = start(out, "trainer.max_epochs=100000")
    wait_for_iterations(out, 4, process)
    process.kill()
    process.wait()
    run_dir = only_run(out)
    before = len(read_rows(run_dir / METRICS))
    with (run_dir / METRICS).open("a") as file:
        file.write('{"frames": 99999, "rew')  # the kill has cut a line
    assert recipe("ilvf_p", "resume=last", f"out={out}", f"trainer.max_epochs={before + 3}") == 0
    steps = [s for s, _ in curve(out)]
    assert steps == [
        40 * (k + 1) for k in range(before + 3)
    ]  # nothing lost, nothing twice, one run
    assert mlflow_runs(out)[1][0].info.status == "FINISHED"
    assert len(read_rows(run_dir / METRICS)) == before + 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_cleanly(out, number):
    process = start(out, "trainer.max_epochs=100000")
    wait_for_iterations(out, 2, process)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in said
    assert "Traceback" not in said
    saved = torch.load(only_run(out) / "checkpoints" / "last.ckpt", weights_only=True)
    assert (
        saved["ilvf"]["state"]["frames"] == curve(out)[-1][0]
    )  # the checkpoint is of the last logged iteration
    assert mlflow_runs(out)[1][0].info.status == "KILLED"


# ---------------------------------------------------------------------- several runs
def test_three_runs_at_once_on_a_fresh_store(tmp_path):
    processes = [start(tmp_path, f"seed={k}") for k in range(3)]
    for process in processes:
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
    assert len(mlflow_runs(tmp_path)[1]) == 3


def test_seeds_compare_and_evaluate(out, recipe, capfd):
    for influence in ("learned", "reward_graph"):
        assert (
            recipe("ilvf_p", *TINY, f"out={out}", "seeds=0-1", f"algorithm.influence={influence}")
            == 0
        )
    assert len(run_dirs(out)) == 4
    capfd.readouterr()

    assert recipe("compare", f"out={out}") == 0
    said = capfd.readouterr().out
    assert re.search(r"influence=learned +2 ", said)
    assert re.search(
        r"influence=reward_graph +2 .* 1\.00\s", said
    )  # the oracle has all of its own gain
    assert (out / "compare-encircle.png").stat().st_size > 10_000

    run_dir = next(d for d in run_dirs(out) if "-s1-" in d.name)
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert recipe("evaluate", f"checkpoint={run_dir / 'checkpoints' / 'last.ckpt'}") == 0
    said = capfd.readouterr().out
    team = float(re.search(r"return/team +(-[\d.]+)", said)[1])
    assert team == pytest.approx(
        rows[-1]["eval/return/team"], abs=1e-3
    )  # the same evaluation again
    assert (run_dir / "checkpoints" / "last-episode.png").exists()

    assert recipe("evaluate", f"checkpoint={run_dir}", "algorithm.eval_episodes=5", "seed=3") == 0
    assert "5 episodes" in capfd.readouterr().out
    assert recipe("compare", f"out={out}", "compare.metric=no/such") == 2
    assert recipe("compare", f"out={out}", "compare.where=nonsense") == 2
    assert recipe("compare", f"out={out / 'nowhere'}") == 2


def test_two_processes_agree(out):
    """DDP: identical parameters on both ranks, frames and rewards of the whole."""
    process = start(out, "trainer.devices=2", "trainer.strategy=ddp")
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    saved = torch.load(only_run(out) / "checkpoints" / "last.ckpt", weights_only=True)
    ranks = saved["ilvf"]["state"]["ranks"]
    assert len(ranks) == 2
    assert ranks[0]["checksum"] == ranks[1]["checksum"]
    assert not torch.equal(
        ranks[0]["env"]["position"], ranks[1]["env"]["position"]
    )  # each has its own environments
    assert not torch.equal(ranks[0]["generators"]["torch"], ranks[1]["generators"]["torch"])
    assert saved["ilvf"]["state"]["frames"] == 2 * 2 * 40
    assert [s for s, _ in curve(out)] == [80, 160]


# ---------------------------------------------------------------------- saying no
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["algorithm.taw=1"], "algorithm.taw"),
        (["env.n_agents=7"], "n_agents=7"),
        (["algorithm.lr=-1"], "lr=-1"),
        (["algorithm.tau=0"], "tau=0"),
        (["algorithm.influence=all"], "algorithm.influence='all'"),
        (["algorithm.discretise=hard"], "algorithm.discretise='hard'"),
        (["seeds=a-b"], "seeds=a-b"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0"),
        (["trainer.accelerator=abacus"], "abacus"),
        (["resume=last"], "no run with a checkpoint"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_bad_input_is_one_sentence_and_code_2(out, recipe, capsys, arguments, words):
    assert recipe("ilvf_p", *TINY, f"out={out}", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert words in said


def test_bad_checkpoints(out, recipe, capsys):
    recipe("ilvf_p", *TINY, f"out={out}")
    good = only_run(out) / "checkpoints" / "last.ckpt"
    capsys.readouterr()

    assert recipe("ilvf_p", f"resume={good}", f"out={out}", "env.n_agents=6") == 2
    assert "does not fit this config: n_agents is 4 there, 6 here" in capsys.readouterr().err
    assert recipe("ilvf_p", f"resume={good}", f"out={out}", "algorithm.shared_first=true") == 2
    assert re.search(r"does not fit.*loss\.critic.* there, .* here", capsys.readouterr().err)

    assert recipe("ilvf_p", f"resume={good}", f"out={out}", "algorithm.num_envs=6") == 2
    assert "4} environments a process, this run 6" in capsys.readouterr().err
    assert recipe("ilvf_p", f"resume={good}", f"out={out}", "preset=paper") == 2
    assert mlflow_runs(out)[1][0].info.status == "FINISHED"  # the run itself is untouched

    truncated = out / "truncated.ckpt"
    truncated.write_bytes(good.read_bytes()[:5000])
    assert recipe("ilvf_p", f"resume={truncated}", f"out={out}") == 2
    assert "truncated.ckpt cannot be read, it is truncated" in capsys.readouterr().err

    torch.save({"something": 1}, out / "other.ckpt")
    assert recipe("evaluate", f"checkpoint={out / 'other.ckpt'}") == 2
    assert "not a checkpoint of this library" in capsys.readouterr().err


def test_a_nan_ends_the_run_and_keeps_the_last_good_checkpoint(out, recipe, capsys, monkeypatch):
    reward, calls = Encircle.reward, []

    def poisoned(self, world):
        calls.append(1)
        return reward(self, world) * (float("nan") if len(calls) > 25 else 1.0)

    monkeypatch.setattr(Encircle, "reward", poisoned)
    assert (
        recipe("ilvf_p", *TINY, f"out={out}", "trainer.max_epochs=5", "algorithm.eval_every=100")
        == 2
    )
    assert re.search(
        r"error: loss_\w+ became nan at optimiser step 9 \(iteration 3", capsys.readouterr().err
    )
    saved = torch.load(only_run(out) / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["ilvf"]["state"]["frames"] == 80  # two iterations of 40 frames were good
    assert all(torch.isfinite(v).all() for v in saved["state_dict"].values())
    assert mlflow_runs(out)[1][0].info.status == "FAILED"


def test_an_output_folder_below_a_file(out, recipe, capsys):
    (out / "file").write_text("")
    assert recipe("ilvf_p", *TINY, f"out={out / 'file' / 'runs'}") == 2
    assert re.search(r"error: out=.*cannot be made \(Not a directory\)", capsys.readouterr().err)


def test_a_server_that_is_not_there(out, recipe, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    begun = time.monotonic()
    assert recipe("ilvf_p", *TINY, f"out={out}") == 2
    assert time.monotonic() - begun < 15
    assert re.search(
        r"error: the MLflow server http://127.0.0.1:9 .* cannot be reached", capsys.readouterr().err
    )


def test_a_store_that_fails_in_mid_run(out, recipe, capsys, monkeypatch, recwarn):
    """The database vanishes after the first iteration: training ends as usual, and says so once."""
    from ilvf.experiment.tracking import MLflowTracker

    log, calls = MLflowTracker.log_metrics, []

    def sabotage(self, metrics, step=None):
        calls.append(step)
        if len(calls) == 2:
            (out / "mlflow.db").rename(out / "gone.db")
            (out / "mlflow.db").mkdir()  # sqlite cannot open a folder
            self._mlflow_client._tracking_client.store.engine.dispose()
        log(self, metrics, step)

    monkeypatch.setattr(MLflowTracker, "log_metrics", sabotage)
    assert recipe("ilvf_p", *TINY, f"out={out}", "trainer.max_epochs=4") == 0
    warned = [str(w.message) for w in recwarn if "MLflow failed" in str(w.message)]
    assert len(warned) == 1
    rows = (only_run(out) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(r)["frames"] for r in rows] == [40, 80, 120, 160]
    assert (only_run(out) / "checkpoints" / "best.ckpt").exists()
    (out / "mlflow.db").rmdir()
    (out / "gone.db").rename(out / "mlflow.db")
    assert [s for s, _ in curve(out)] == [40]  # what was logged is still there
    monkeypatch.setattr(MLflowTracker, "log_metrics", log)
    assert recipe("ilvf_p", f"resume={only_run(out)}", f"out={out}", "trainer.max_epochs=5") == 0
    assert [s for s, _ in curve(out)] == [
        40,
        80,
        120,
        160,
        200,
    ]  # and the rest comes with the next start


def test_records_wait_for_a_store_that_comes_back(out, recipe, monkeypatch):
    """The store fails once: everything arrives in the end."""
    from lightning.pytorch.loggers import MLFlowLogger

    log, calls = MLFlowLogger.log_metrics, []

    def flaky(self, metrics, step=None):
        calls.append(step)
        if len(calls) == 2:
            raise OSError("the network is down")
        log(self, metrics, step)

    monkeypatch.setattr(MLFlowLogger, "log_metrics", flaky)
    assert recipe("ilvf_p", *TINY, f"out={out}", "trainer.max_epochs=4") == 0
    assert [s for s, _ in curve(out)] == [40, 80, 120, 160]


def test_networks_that_read_their_inputs_otherwise_are_not_resumed(out, recipe, capsys):
    """Parameters of the same shapes, but another meaning."""
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    assert recipe("ilvf_p", "resume=last", "algorithm.input_norm=none", f"out={out}") == 2
    assert "input_norm is layer there, none here" in capsys.readouterr().err
