"""QMIX, VDN and MADDPG: their replay buffer across kills, their training, their runs."""

import functools
import re
import subprocess
import sys
import time

import lightning as L
import pytest
import torch
from tensordict import TensorDict

import ilvf
from helpers import ROOT
from ilvf.algorithms.maddpg import MADDPG
from ilvf.algorithms.qmix import QMIX
from ilvf.data.replay import Replay
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, GreedyActor, JointCritic, Mixer

CPU = torch.device("cpu")

SMALL = (  # a run of seconds
    "env.n_agents=4",
    "env.horizon=10",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=7",  # episodes do not end with the rollout
    "algorithm.updates=3",
    "algorithm.batch_size=16",
    "algorithm.warmup=50",
    "algorithm.capacity=120",  # four rollouts of 28: the ring goes round
    "algorithm.hidden=8",
    "algorithm.eval_every=2",
    "algorithm.eval_episodes=3",
    "trainer.max_epochs=2",
    "trainer.progress=false",
    "trainer.accelerator=cpu",
)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- replay buffer
def filled(folder, rollouts, pieces=3, rows=4):
    replay = Replay(pieces, rows, CPU, folder)
    for k in range(rollouts):
        replay.add(
            TensorDict(
                {"agents": {"x": torch.full((rows, 2), float(k))}, "y": torch.arange(rows)}, rows
            )
        )
    return replay


@pytest.mark.parametrize("rollouts", [1, 2, 3, 4, 5, 6, 7])
def test_a_restored_buffer_is_the_same_and_goes_on_the_same(tmp_path, rollouts):
    first, second = filled(tmp_path, rollouts), Replay(3, 4, CPU, tmp_path)
    second.restore(first.state(), tmp_path)
    for _ in range(3):
        assert torch.equal(first.buffer[:]["agents", "x"], second.buffer[:]["agents", "x"])
        draws = []
        for replay in (first, second):
            torch.manual_seed(1)
            draws.append(replay.sample(10))
            replay.add(
                TensorDict({"agents": {"x": torch.full((4, 2), 99.0)}, "y": torch.arange(4)}, 4)
            )
        assert (draws[0] == draws[1]).all()


def test_a_smaller_ring_keeps_the_newest(tmp_path):
    replay = Replay(2, 4, CPU, tmp_path)
    replay.restore(filled(tmp_path, 5).state(), tmp_path)  # holds 3, 4, 2 in its places
    assert replay.buffer[:]["agents", "x"][:, 0].tolist() == [3.0] * 4 + [4.0] * 4
    replay = Replay(9, 4, CPU, tmp_path)
    replay.restore(filled(tmp_path, 5).state(), tmp_path)
    replay.add(replay.buffer[:4].clone())
    assert replay.buffer[:]["agents", "x"][::4, 0].tolist() == [2.0, 3.0, 4.0, 2.0]


def test_files_go_when_a_newer_checkpoint_does_without_them(tmp_path):
    replay = filled(tmp_path, 3)
    state = replay.state()
    replay.add(replay.buffer[:4].clone())
    replay.prune()
    assert {p.name for p in tmp_path.iterdir()} == {
        *state["files"],
        *replay.files,
    }  # the checkpoint needs the oldest
    state = replay.state()
    replay.prune()
    assert {p.name for p in tmp_path.iterdir()} == set(state["files"])
    assert len(state["files"]) == 3


# ---------------------------------------------------------------------- algorithms
def algorithm(kind, **options):
    torch.manual_seed(0)
    env, make = Encircle(4), functools.partial(Encircle, 4, horizon=10)
    sizes = (4, env.observation_dim, env.n_actions)
    small = dict(
        num_envs=4,
        rollout_steps=5,
        updates=2,
        batch_size=16,
        warmup=20,
        eval_every=100,
        eval_episodes=2,
    )
    small |= options
    if kind == "maddpg":
        actor = CategoricalActor(*sizes, hidden=8)
        return MADDPG(make, actor, JointCritic(4, env.state_dim, env.n_actions, hidden=8), **small)
    return QMIX(make, GreedyActor(*sizes, hidden=8), Mixer(kind, 4, env.state_dim), **small)


def fit(module, iterations, *callbacks):
    L.Trainer(
        max_epochs=iterations,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    ).fit(module)
    return module


class Targets(L.Callback):
    """Distance between a target and what it follows, and the last step's move of the target, after every step."""

    def __init__(self):
        self.equal, self.ratio, self.before = [], [], None

    def on_train_batch_start(self, trainer, module, *_):
        self.before = [p.clone() for p in module.loss.target_actor.parameters()]

    def on_train_batch_end(self, trainer, module, *_):  # before the module's own hook
        self.now = [p.clone() for p in module.loss.actor.parameters()]
        self.held = module.loss

    def check(self, tau):
        """The target is where one step of `tau` from `before` brings it."""
        for old, new, target in zip(
            self.before, self.now, self.held.target_actor.parameters(), strict=True
        ):
            assert torch.allclose(target, old + tau * (new - old), atol=1e-7)
            assert not torch.equal(old, new)


@pytest.mark.parametrize("kind", ["qmix", "maddpg"])
def test_targets_follow_in_training(kind):
    for options, tau in (
        (dict(tau=0.25), 0.25),
        (dict(target_every=2), 1.0),
        (dict(target_every=3), 0.0),
    ):
        watch = Targets()
        fit(algorithm(kind, lr=0.01, **options), 2, watch)  # four optimiser steps
        watch.check(tau)


def test_warm_up_comes_first_and_counts():
    """50 random frames are three rollouts of 20; then the first of the policy's own: 80 frames, and 100 after two."""
    module, random = algorithm("qmix", warmup=50, epsilon_start=0.0, epsilon_end=0.0), []
    rollout = module._rollout
    module._rollout = lambda: (random.append(module.explorer.random), rollout())[1]
    fit(module, 2)
    assert random == [True, True, True, False, False]
    assert module.frames == 100
    assert module.last_metrics["frames"] == 100


def test_epsilon_is_scheduled_by_frames():
    module = fit(algorithm("qmix", epsilon_end=0.2, epsilon_frames=80, warmup=20), 2)
    assert module.last_metrics["explore/epsilon"] == pytest.approx(
        1 - 0.8 * 40 / 80
    )  # 40 frames before the last


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (dict(updates=0), ("updates=0",)),
        (dict(capacity=5), ("capacity=5", "20")),
        (dict(tau=0.0), ("tau=0",)),
        (dict(target_every=0), ("target_every=0",)),
        (dict(warmup=-1), ("warmup=-1",)),
        (dict(epsilon_end=2.0), ("epsilon_end=2",)),
        (dict(loss={"gamma": 2.0}), ("gamma=2",)),
        (dict(loss={"huber_delta": 0.0}), ("huber_delta=0",)),
    ],
)
def test_bad_arguments(option, words, refused):
    with refused(*words):
        algorithm("qmix", **option)


def test_more_bad_arguments(refused):
    with refused("temperature=0", "positive"):
        algorithm("maddpg", loss={"temperature": 0.0})
    with refused("actor_lr=-1"):
        algorithm("maddpg", actor_lr=-1.0)


# ---------------------------------------------------------------------- whole runs
def run_dirs(out):
    return sorted(p.parent for p in out.glob("*/checkpoints"))


def only_run(out):
    (found,) = run_dirs(out)
    return found


def content(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)


def same_learning(first, second):
    """All parameters, targets among them, and Adam's moments, bit by bit."""
    a, b = content(first), content(second)
    assert all(torch.equal(a["state_dict"][k], b["state_dict"][k]) for k in a["state_dict"])
    moments = [s["optimizer_states"][0]["state"] for s in (a, b)]
    assert all(torch.equal(moments[0][k]["exp_avg"], moments[1][k]["exp_avg"]) for k in moments[0])
    assert a["ilvf"]["state"]["frames"] == b["ilvf"]["state"]["frames"]


def folders(out, *names):
    for name in names:
        (out / name).mkdir()
        (out / name / "mlflow.db").write_bytes((out / "mlflow.db").read_bytes())
    return [out / name for name in names]


def start(out, name, *args):
    import os

    environment = {
        k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "ILVF_RUN_DIR")
    }
    command = [sys.executable, str(ROOT / "recipes" / f"{name}.py"), *SMALL, f"out={out}", *args]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.Popen(command, env={**environment, "OMP_NUM_THREADS": "1"}, **pipes)


@pytest.mark.parametrize("name", ["qmix", "maddpg"])
def test_three_and_three_are_six(out, recipe, name):
    whole, halves = folders(out, "whole", "halves")
    assert recipe(name, *SMALL, f"out={whole}", "trainer.max_epochs=6") == 0
    assert recipe(name, *SMALL, f"out={halves}", "trainer.max_epochs=3") == 0
    assert recipe(name, "resume=last", f"out={halves}", "trainer.max_epochs=6") == 0
    same_learning(only_run(whole), only_run(halves))
    files = content(only_run(halves))["ilvf"]["state"]["ranks"][0]["replay"]["files"]
    assert len(files) == 4  # of eight rollouts
    assert set(files) <= {p.name for p in (only_run(halves) / "buffer").iterdir()}


def test_kill_9_and_resume(out, recipe):
    process = start(out, "qmix", "trainer.max_epochs=100000")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        logged = [p for p in out.glob("*/metrics.jsonl") if len(p.read_text().splitlines()) >= 5]
        if logged and (logged[0].parent / "checkpoints" / "last.ckpt").exists():
            break
        time.sleep(0.05)
    process.kill()
    said, _ = process.communicate()
    run_dir = only_run(out)
    done = content(run_dir)["epoch"] + 1
    assert done >= 4, said
    (run_dir / "buffer" / "0-999999-abc.pt.part").write_bytes(b"cut")  # what a kill can leave
    assert recipe("qmix", "resume=last", f"out={out}", f"trainer.max_epochs={done + 2}") == 0
    (whole,) = folders(out, "whole")
    assert recipe("qmix", *SMALL, f"out={whole}", f"trainer.max_epochs={done + 2}") == 0
    same_learning(run_dir, only_run(whole))
    assert not list((run_dir / "buffer").glob("*.part"))


def test_a_checkpoint_elsewhere_takes_its_buffer_along(out, recipe, capsys):
    here, other = folders(out, "here", "other")
    assert recipe("maddpg", *SMALL, f"out={here}") == 0
    run_dir = only_run(here)
    (other / "copy.ckpt").write_bytes((run_dir / "checkpoints" / "last.ckpt").read_bytes())
    capsys.readouterr()
    assert (
        recipe("maddpg", f"resume={other / 'copy.ckpt'}", f"out={other}", "trainer.max_epochs=3")
        == 2
    )
    assert re.search(
        r"error: the replay buffer's file .* is missing; resume from", capsys.readouterr().err
    )
    (run_dir / "buffer").rename(other / "buffer")
    assert (
        recipe("maddpg", f"resume={other / 'copy.ckpt'}", f"out={other}", "trainer.max_epochs=3")
        == 0
    )
    assert (
        recipe("maddpg", "resume=last", f"out={other}", "trainer.max_epochs=4") == 0
    )  # from its own files


def test_bad_buffers_are_one_sentence(out, recipe, capsys):
    assert recipe("qmix", *SMALL, f"out={out}") == 0
    run_dir = only_run(out)
    path = sorted((run_dir / "buffer").iterdir())[-1]
    whole = path.read_bytes()
    capsys.readouterr()
    for words, spoil in (
        ("cannot be read, it is truncated", lambda: path.write_bytes(whole[: len(whole) // 2])),
        ("is missing", path.unlink),
    ):
        spoil()
        assert recipe("qmix", "resume=last", f"out={out}", "trainer.max_epochs=3") == 2
        said = capsys.readouterr().err
        assert said.startswith("error: the replay buffer's file ")
        assert said.count("\n") == 1
        assert words in said
    path.write_bytes(whole)
    more = ("algorithm.rollout_steps=8", "trainer.max_epochs=3")
    assert recipe("qmix", "resume=last", f"out={out}", *more) == 2
    assert "rollouts of 28 transitions, this run's have 32" in capsys.readouterr().err
    assert (
        recipe("qmix", "resume=last", f"out={out}", "trainer.max_epochs=3", "algorithm.capacity=60")
        == 0
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [("qmix", ()), ("qmix", ("algorithm.mixer=vdn", "algorithm.share=true")), ("maddpg", ())],
    ids=["qmix", "vdn", "maddpg"],
)
def test_a_run_and_its_evaluation(out, recipe, capfd, name, options):
    assert recipe(name, *SMALL, f"out={out}", *options) == 0
    run_dir = only_run(out)
    said = capfd.readouterr().out
    trained = float(re.search(r"return/team +(-[\d.]+)", said)[1])
    assert recipe("evaluate", f"checkpoint={run_dir / 'checkpoints' / 'last.ckpt'}") == 0
    again = float(re.search(r"return/team +(-[\d.]+)", capfd.readouterr().out)[1])
    assert again == pytest.approx(trained, abs=1e-3)
    assert (run_dir / "pictures" / "learning-curve.png").exists()
    policy = ilvf.load_policy(run_dir / "checkpoints" / "best.ckpt")
    observation = Encircle(4, num_envs=5, seed=0).reset()["agents", "observation"]
    assert policy(observation).shape == (5, 4)
    assert torch.equal(policy(observation)[2], policy(observation[2]))
    samples = torch.stack([policy(observation, deterministic=False) for _ in range(60)])
    assert samples.unique().numel() == 5


def test_two_processes_agree(out):
    process = start(out, "qmix", "trainer.devices=2", "trainer.strategy=ddp")
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    state = content(only_run(out))["ilvf"]["state"]
    ranks = state["ranks"]
    assert ranks[0]["checksum"] == ranks[1]["checksum"]
    assert not torch.equal(ranks[0]["env"]["position"], ranks[1]["env"]["position"])
    assert state["frames"] == 2 * 28 * 3  # one random rollout of 28 frames on both, then two
    names = [set(r["replay"]["files"]) for r in ranks]
    assert not names[0] & names[1]
    assert names[0] | names[1] <= {p.name for p in (only_run(out) / "buffer").iterdir()}
