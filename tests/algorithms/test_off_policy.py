"""QMIX, VDN and MADDPG: their losses against arithmetic and TorchRL, their buffer across kills, their runs."""

import functools
import re
import subprocess
import sys
import time

import lightning as L
import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import QValueModule, SafeSequential
from torchrl.objectives import QMixerLoss, ValueEstimators

import ilvf
from helpers import ROOT
from ilvf.algorithms.maddpg import MADDPG
from ilvf.algorithms.qmix import QMIX
from ilvf.data.replay import Replay
from ilvf.envs import Encircle
from ilvf.losses.maddpg import MADDPGLoss, own_replaced, straight_through
from ilvf.losses.qmix import QMIXLoss
from ilvf.modules import CategoricalActor
from ilvf.modules.actors.greedy import GreedyActor, RandomFirst, linear_schedule, random_action
from ilvf.modules.critics.joint import JointCritic
from ilvf.modules.mixer import Mixer
from ilvf.modules.targets import ReturnNorm, follow, frozen_copy

B, N, DO, D, A = 6, 3, 5, 4, 3
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


def batch(b=B, terminated=False):
    """b transitions of N agents."""

    def moment():
        return {"observation": torch.randn(b, N, DO), "state": torch.randn(b, N, D)}

    later = {
        "agents": {**moment(), "reward": torch.randn(b, N, 1)},
        "terminated": torch.full((b, 1), terminated),
    }
    return TensorDict(
        {"agents": {**moment(), "action": torch.randint(A, (b, N))}, "next": later}, b
    )


def scrambled(*modules):
    """Other parameters, so that targets differ from what they follow."""
    for module in modules:
        for p in module.parameters():
            p.data += 0.3 * torch.randn_like(p)


def qmix_loss(kind="qmix", **options):
    options = {"normalise": False, **options}
    loss = QMIXLoss(GreedyActor(N, DO, A, hidden=8), Mixer(kind, N, D, embed=4), **options)
    scrambled(loss.target_actor, loss.target_mixer)
    return loss


def maddpg_loss(**options):
    actor = CategoricalActor(N, DO, A, hidden=8, gain=1.0)
    loss = MADDPGLoss(actor, JointCritic(N, D, A, hidden=8), **{"normalise": False, **options})
    scrambled(loss.target_actor, loss.target_critic)
    return loss


# ---------------------------------------------------------------------- QMIX and VDN
class Values(torch.nn.Module):
    """All action values of an actor, as a module."""

    def __init__(self, actor):
        super().__init__()
        self.actor = actor

    def forward(self, observation):
        return self.actor.values(observation)


@pytest.mark.parametrize("kind", ["qmix", "vdn"])
def test_the_td_loss_is_torchrls(kind):
    """Without double Q, on the same networks, targets and batch."""
    loss, data, agents = qmix_loss(kind, double=False, gamma=0.9), batch(), "agents"
    data["next", "terminated"][0] = True

    def parts(actor, mixer):
        values = TensorDictModule(
            Values(actor), in_keys=[(agents, "observation")], out_keys=[(agents, "action_value")]
        )
        keys = [(agents, "action"), (agents, "action_value"), (agents, "chosen_action_value")]
        choice = QValueModule(
            action_value_key=keys[1], out_keys=keys, spec=None, action_space="categorical"
        )
        state = [(agents, "state")] if kind == "qmix" else []
        mixed = TensorDictModule(mixer, in_keys=[keys[2], *state], out_keys=["chosen_action_value"])
        return SafeSequential(values, choice), mixed

    theirs = QMixerLoss(
        *parts(loss.actor, loss.mixer), delay_value=True, action_space="categorical"
    )
    names = dict(action_value="action_value", local_value="chosen_action_value", action="action")
    theirs.set_keys(
        **{k: (agents, v) for k, v in names.items()}, global_value="chosen_action_value"
    )
    theirs.make_value_estimator(ValueEstimators.TD0, gamma=0.9)
    targets = parts(loss.target_actor, loss.target_mixer)
    for name, module in zip(("local_value_network", "mixer_network"), targets, strict=True):
        getattr(theirs, f"target_{name}_params").data.update_(TensorDict.from_module(module).data)
    team = data.clone()
    team["next", "reward"] = data["next", "agents", "reward"].sum(-2)
    team["next", "done"] = team["next", "terminated"]
    assert torch.allclose(loss(data)["loss_td"], theirs(team)["loss"], rtol=0, atol=1e-6)
    assert not torch.allclose(
        qmix_loss(kind, gamma=0.9)(data)["loss_td"], theirs(team)["loss"], atol=1e-3
    )


def test_qmix_is_monotone_and_vdn_the_sum():
    state, value = torch.randn(200, N, D), torch.randn(200, N, 1, requires_grad=True)
    mixer = Mixer("qmix", N, D)
    scrambled(mixer)
    (slope,) = torch.autograd.grad(mixer(value, state).sum(), value)
    assert (slope >= 0).all()
    assert slope.std() > 0.01  # and it depends on the state
    assert torch.allclose(Mixer("vdn", N, D)(value), value.sum(-2))
    other = mixer(value, state.flip(0))
    assert not torch.allclose(mixer(value, state), other)


def by_hand(loss, future):
    """Q̄_tot (or Q̄_i) is `future` everywhere: zero weights, and a bias."""
    for module in (loss.target_mixer if isinstance(loss, QMIXLoss) else loss.target_critic,):
        for p in module.parameters():
            p.data.zero_()
    if isinstance(loss, QMIXLoss):
        loss.target_mixer.net.V[-1].bias.data.fill_(future)
    else:
        loss.target_critic.net.head.bias.data.fill_(future)


def test_targets_bootstrap_on_truncation_and_not_on_termination():
    """Σ r + γ · future = (1 + 2 + 3) + 0.9 · 10 = 15, or 6;  each agent's r_i + 9, or r_i."""
    reward = torch.tensor([[1.0], [2.0], [3.0]])
    for loss, own in (qmix_loss(gamma=0.9), False), (maddpg_loss(gamma=0.9), True):
        by_hand(loss, 10.0)
        for terminated in (False, True):
            data = batch(2, terminated)
            data["next", "agents", "reward"] = reward.expand(2, N, 1).clone()
            data["next", "truncated"] = data["next", "done"] = torch.ones(2, 1, dtype=torch.bool)
            expected = reward if own else torch.tensor(6.0)
            expected = (expected if terminated else expected + 9.0).expand(
                2, *([N, 1] if own else [1])
            )
            assert torch.allclose(loss.target(data), expected)


def test_the_norm_frees_the_loss_from_the_scale_of_the_rewards():
    """Rewards 1000 times as large, and lifted by 7, give the same loss; y itself is in reward units."""
    data = batch(64)
    for kind in (qmix_loss, maddpg_loss):
        found = []
        for scale, offset in ((1.0, 0.0), (1000.0, 7.0)):
            torch.manual_seed(3)
            loss, lifted = kind(gamma=0.9, normalise=True), data.clone()
            lifted["next", "agents", "reward"] = scale * data["next", "agents", "reward"] + offset
            terms = loss(lifted)
            found.append(terms["loss_td" if kind is qmix_loss else "loss_critic"])
        assert torch.allclose(*found, rtol=1e-3)
        assert terms["target"].abs() > 50


def test_a_value_of_zero_is_the_mean_reward_for_ever():
    """γ = 0.75, rewards 3 ± 2: Q(0) = 4 · 3 = 12, Q(1) = 12 + 2 · 2 = 16."""
    norm = ReturnNorm((1,), 0.75)
    norm.update(torch.tensor([[1.0], [5.0]]))
    assert torch.allclose(norm.denormalise(torch.tensor([0.0, 1.0])), torch.tensor([12.0, 16.0]))
    assert torch.allclose(
        norm.normalise(torch.tensor([12.0, 16.0])), torch.tensor([0.0, 1.0]), atol=1e-6
    )


def test_double_q_chooses_by_what_is_learned():
    """One transition; Q̄ = (5, 1, 2) for every agent, the learned Q = (0, 0, 1): 3 · 2 with double, 3 · 5 without."""
    for double, expected in ((True, 6.0), (False, 15.0)):
        loss = qmix_loss("vdn", double=double, gamma=1.0)
        for actor, bias in ((loss.target_actor, [5.0, 1.0, 2.0]), (loss.actor, [0.0, 0.0, 1.0])):
            actor.net.head.weight.data.zero_()
            actor.net.head.bias.data[:] = torch.tensor(bias)
        data = batch(1)
        data["next", "agents", "reward"].zero_()
        assert loss.target(data).item() == pytest.approx(expected)


def test_impossible_actions_are_never_chosen():
    actor = GreedyActor(N, DO, A, hidden=8, masked=True)
    mask = torch.zeros(500, N, A, dtype=torch.bool)
    mask[..., 1] = True
    mask[:, 0, 2] = True
    td = TensorDict({"agents": {"observation": torch.randn(500, N, DO), "action_mask": mask}}, 500)
    for epsilon in (0.0, 1.0):
        actor.epsilon.fill_(epsilon)
        assert mask.gather(-1, actor(td)["agents", "action"].unsqueeze(-1)).all()
    assert set(random_action(mask.float(), mask)[:, 0].tolist()) == {1, 2}
    loss = QMIXLoss(actor, Mixer("vdn", N, D), gamma=1.0, normalise=False)
    loss.target_actor.net.head.weight.data.zero_()
    loss.target_actor.net.head.bias.data[:] = torch.tensor([9.0, 1.0, 1.0])
    data = batch(2)
    data["next", "agents", "reward"].zero_()
    data["next", "agents", "action_mask"] = mask[:2]
    assert torch.allclose(loss.target(data), torch.tensor(3.0))
    data["next", "agents", "action_mask"] = torch.zeros_like(
        mask[:2]
    )  # nothing is possible after the end
    assert torch.isfinite(loss(data)["loss_td"])


def test_epsilon_falls_in_a_straight_line():
    values = [linear_schedule(f, 1.0, 0.1, 100) for f in (0, 50, 100, 1000)]
    assert values == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert linear_schedule(0, 1.0, 0.1, 0) == 0.1
    actor = GreedyActor(N, DO, A, hidden=8)
    td = TensorDict({"agents": {"observation": torch.randn(1, N, DO).expand(3000, N, DO)}}, 3000)
    best = actor.values(td["agents", "observation"]).argmax(-1)
    for epsilon in (0.0, 0.3, 1.0):
        actor.epsilon.fill_(epsilon)
        same = (actor(td)["agents", "action"] == best).float().mean().item()
        assert same == pytest.approx(1 - epsilon * (A - 1) / A, abs=0.02)
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            assert torch.equal(actor(td)["agents", "action"], best)


def test_random_first():
    actor = CategoricalActor(N, DO, A, hidden=8, gain=100.0)
    explorer, td = (
        RandomFirst(actor),
        TensorDict({"agents": {"observation": torch.ones(3000, N, DO)}}, 3000),
    )
    td["agents", "observation"] *= torch.arange(DO)
    explorer.random = True
    shares = torch.nn.functional.one_hot(explorer(td)["agents", "action"], A).float().mean(0)
    assert torch.allclose(shares, torch.full((N, A), 1 / A), atol=0.04)
    explorer.random = False
    assert "action_log_prob" in explorer(td)["agents"]  # the actor itself


@pytest.mark.parametrize("kind", ["qmix", "vdn"])
def test_a_better_action_becomes_more_valuable(kind):
    """A bandit: the team is paid the number of agents that take action 2. It must become everybody's greedy action."""
    loss = QMIXLoss(GreedyActor(N, DO, A, hidden=16), Mixer(kind, N, D), gamma=0.0)
    optimiser = torch.optim.Adam([*loss.actor.parameters(), *loss.mixer.parameters()], lr=1e-2)
    for _ in range(150):
        data = batch(64)
        data["next", "agents", "reward"] = (data["agents", "action"] == 2).float().unsqueeze(-1)
        optimiser.zero_grad()
        loss(data)["loss_td"].backward()
        optimiser.step()
    greedy = loss.actor.values(torch.randn(50, N, DO)).argmax(-1)
    assert (greedy == 2).float().mean() > 0.95


# ---------------------------------------------------------------------- MADDPG
def test_the_actor_follows_the_critic():
    """Q_i = 1 where i takes action 2, whatever the others do: after a step everybody takes it more often."""
    loss = maddpg_loss(entropy=0.0)
    critic = lambda state, action: (
        action.unflatten(-1, (N, A)).diagonal(dim1=0, dim2=2)[:, 2].unsqueeze(-1)
    )
    loss.gain = lambda state, action, sample: critic(state, own_replaced(action, sample)).squeeze(
        -1
    )
    data = batch(256)
    before = loss.actor.log_probs(data["agents", "observation"]).exp()[..., 2].mean(0)
    optimiser = torch.optim.SGD(loss.actor.parameters(), lr=0.1)
    loss(data)["loss_actor"].backward()
    optimiser.step()
    after = loss.actor.log_probs(data["agents", "observation"]).exp()[..., 2].mean(0)
    assert (after > before + 1e-3).all()


def test_neither_loss_trains_the_others_network():
    loss, data = maddpg_loss(), batch()
    loss(data)["loss_actor"].backward()
    assert all(p.grad is None or not p.grad.any() for p in loss.critic.parameters())
    assert all(p.grad.abs().sum() > 0 for p in loss.actor.parameters())
    loss.zero_grad()
    loss(data)["loss_critic"].backward()
    assert all(p.grad is None or not p.grad.any() for p in loss.actor.parameters())
    assert all(p.grad.abs().sum() > 0 for p in loss.critic.parameters())
    assert all(p.grad is None for pair in loss.target_pairs for p in pair[0].parameters())


def test_only_ones_own_action_is_replaced():
    """Agent 1's critic reads the samples of agent 1 and the recorded actions of 0 and 2."""
    action, sample = torch.zeros(B, N, A), torch.ones(B, N, A)
    joint = own_replaced(action, sample).unflatten(-1, (N, A))  # [N, B, N, A]
    assert torch.equal(joint[:, 0, :, 0], torch.eye(N))
    critic = JointCritic(N, D, A, hidden=8)
    state, real, other = torch.randn(B, N, D), torch.randn(B, N, A), torch.randn(B, N, A)
    found = critic(state, own_replaced(real, other))
    for i in range(N):
        mixed = real.clone()
        mixed[:, i] = other[:, i]
        assert torch.allclose(found[:, i], critic(state, mixed.flatten(1))[:, i], atol=1e-6)


def test_straight_through_samples_are_one_hot_and_differentiable():
    logp = torch.tensor([0.6, 0.3, 0.1]).log().expand(20_000, 3).clone().requires_grad_()
    sample = straight_through(logp, 1.0)
    assert torch.allclose(sample.detach().max(-1).values, torch.ones(20_000))
    assert torch.allclose(sample.detach().mean(0), torch.tensor([0.6, 0.3, 0.1]), atol=0.02)
    sample[:, 0].sum().backward()
    assert (logp.grad[:, 0] > 0).all()
    assert (logp.grad[:, 1:] < 0).all()


# ---------------------------------------------------------------------- targets and buffer
def test_targets_follow():
    """From 0 towards 1 with τ = 0.25: 0.25, then 0.4375; τ = 1 copies."""
    source = torch.nn.Linear(2, 2)
    target = frozen_copy(source)
    for p in source.parameters():
        p.data.fill_(1.0)
    for p in target.parameters():
        p.data.fill_(0.0)
    for expected, tau in ((0.25, 0.25), (0.4375, 0.25), (1.0, 1.0)):
        follow(target, source, tau)
        assert all(torch.allclose(p, torch.tensor(expected)) for p in target.parameters())
    assert not any(p.requires_grad for p in target.parameters())


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
    with refused("mixer='sum'", "vdn"):
        Mixer("sum", N, D)
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
