"""Whole runs of QMIX, VDN and MADDPG: replay buffers, resuming, evaluating, two processes."""

import re
import shutil

import pytest
import torch

import ilvf
from ilvf.envs import Encircle
from ilvf.experiment.metrics_file import METRICS, read_rows
from run_helpers import (
    assert_same_learning,
    folder_with_store,
    last_checkpoint,
    logged_frames,
    only_mlflow_run,
    only_run,
    start_recipe,
    wait_for_iterations,
)

TINY = (  # a run of a second, as arguments of a recipe
    "env.n_agents=4",
    "env.horizon=10",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=7",  # episodes do not end with the rollout
    "algorithm.updates=3",
    "algorithm.batch_size=16",
    "algorithm.warmup=50",
    "algorithm.capacity=120",  # four rollouts of 28 frames, so that the ring overwrites
    "algorithm.hidden=8",
    "algorithm.eval_every=2",
    "algorithm.eval_episodes=3",
    "trainer.max_epochs=2",
    "trainer.progress=false",
    "trainer.pictures=false",
    "trainer.animation=false",
    "trainer.accelerator=cpu",
)
pytestmark = pytest.mark.slow


def buffer_files(run) -> set[str]:
    """Names of the replay buffer's files of a run."""
    return {path.name for path in (run / "buffer").iterdir()}


# ---------------------------------------------------------------------- resuming
RECURRENT = ("algorithm.recurrent=gru", "algorithm.chunk=7", "algorithm.burn_in=3")


@pytest.mark.parametrize(
    ("name", "options"), [("qmix", ()), ("maddpg", ()), ("qmix", RECURRENT)], ids=str
)
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(tmp_path, recipe, name, options):
    whole = tmp_path / "whole"
    halves = tmp_path / "halves"
    options = (*TINY, *options, "trainer.logger=none")
    assert recipe(name, *options, f"out={whole}", "trainer.max_epochs=6") == 0
    assert recipe(name, *options, f"out={halves}", "trainer.max_epochs=3") == 0
    assert recipe(name, "resume=last", f"out={halves}", "trainer.max_epochs=6") == 0
    assert_same_learning(whole, halves)
    files = last_checkpoint(halves)["ilvf"]["state"]["ranks"][0]["replay"]["files"]
    assert len(files) == 4  # of eight rollouts
    assert set(files) <= buffer_files(only_run(halves))


def test_a_killed_run_resumes_exactly(out, store, recipe):
    """Same weights, one MLflow run, no iteration lost or logged twice, no partial files left."""
    process = start_recipe(out, "qmix", *TINY, "trainer.max_epochs=100000")
    wait_for_iterations(out, 5, process)
    process.kill()
    process.communicate()
    run = only_run(out)
    done = last_checkpoint(out)["epoch"] + 1
    with (run / METRICS).open("a") as file:
        file.write('{"frames": 99999, "rew')  # a kill can cut a line
    (run / "buffer" / "0-999999-abc.pt.part").write_bytes(b"cut")  # or a file
    end = f"trainer.max_epochs={done + 2}"
    assert recipe("qmix", "resume=last", f"out={out}", end) == 0
    whole = folder_with_store(out / "whole", store)
    assert recipe("qmix", *TINY, f"out={whole}", end) == 0
    assert_same_learning(out, whole)
    assert logged_frames(out) == logged_frames(whole)
    assert len(read_rows(run / METRICS)) == done + 2
    assert only_mlflow_run(out).info.status == "FINISHED"
    assert not list((run / "buffer").glob("*.part"))


def test_a_checkpoint_that_was_copied_needs_its_buffer(out, store, recipe, capsys):
    here = folder_with_store(out / "here", store)
    other = folder_with_store(out / "other", store)
    assert recipe("maddpg", *TINY, f"out={here}") == 0
    run = only_run(here)
    shutil.copy(run / "checkpoints" / "last.ckpt", other / "copy.ckpt")
    resume = (f"resume={other / 'copy.ckpt'}", f"out={other}", "trainer.max_epochs=3")
    capsys.readouterr()
    assert recipe("maddpg", *resume) == 2
    missing = r"error: the replay buffer's file .* is missing; resume from"
    assert re.search(missing, capsys.readouterr().err)
    (run / "buffer").rename(other / "buffer")
    assert recipe("maddpg", *resume) == 0
    shutil.rmtree(other / "buffer")  # the new run has files of its own
    assert recipe("maddpg", "resume=last", f"out={other}", "trainer.max_epochs=4") == 0


# ---------------------------------------------------------------------- damaged buffers
@pytest.fixture
def qmix_run(out, recipe, capsys):
    """The folder of a finished QMIX run."""
    assert recipe("qmix", *TINY, f"out={out}") == 0
    capsys.readouterr()
    return only_run(out)


def test_a_damaged_buffer_is_one_sentence(out, qmix_run, recipe, capsys):
    path = max((qmix_run / "buffer").iterdir())
    resume = ("resume=last", f"out={out}", "trainer.max_epochs=3")
    path.write_bytes(path.read_bytes()[:1000])
    assert recipe("qmix", *resume) == 2
    truncated = capsys.readouterr().err
    path.unlink()
    assert recipe("qmix", *resume) == 2
    missing = capsys.readouterr().err
    assert "cannot be read, it is truncated" in truncated
    assert "is missing" in missing
    for sentence in (truncated, missing):
        assert sentence.startswith("error: the replay buffer's file ")
        assert sentence.count("\n") == 1


def test_a_buffer_of_other_rollouts_is_refused_and_one_of_other_capacity_is_not(
    out, qmix_run, recipe, capsys
):
    resume = ("resume=last", f"out={out}", "trainer.max_epochs=3")
    assert recipe("qmix", *resume, "algorithm.rollout_steps=8") == 2
    assert "rollouts of 28 transitions, this run's have 32" in capsys.readouterr().err
    assert recipe("qmix", *resume, "algorithm.capacity=60") == 0


# ---------------------------------------------------------------------- results
@pytest.mark.parametrize(
    ("name", "options"),
    [("qmix", ()), ("qmix", ("algorithm.mixer=vdn", "algorithm.share=true")), ("maddpg", ())],
    ids=["qmix", "vdn", "maddpg"],
)
def test_a_run_is_evaluated_again_and_its_policy_acts(out, recipe, capfd, name, options):
    assert recipe(name, *TINY, f"out={out}", "trainer.pictures=true", *options) == 0
    run = only_run(out)
    pattern = r"return/team +(-[\d.]+)"
    trained = float(re.search(pattern, capfd.readouterr().out)[1])
    last = f"checkpoint={run / 'checkpoints' / 'last.ckpt'}"
    assert recipe("evaluate", last, "animation=false") == 0
    again = float(re.search(pattern, capfd.readouterr().out)[1])
    assert again == pytest.approx(trained, abs=1e-3)
    assert (run / "pictures" / "learning-curve.png").exists()
    policy = ilvf.load_policy(run / "checkpoints" / "best.ckpt")
    observation = Encircle(4, num_envs=5, seed=0).reset()["agents", "observation"]
    action = policy(observation)
    assert action.shape == (5, 4)
    assert torch.equal(action[2], policy(observation[2]))
    samples = torch.stack([policy(observation, deterministic=False) for _ in range(60)])
    assert samples.unique().numel() == 5
