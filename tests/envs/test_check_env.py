"""The contract of environments, and its checker, on environments that are not ours."""

import functools
import importlib.util
import sys

import lightning as L
import pytest
import torch
from mpe2 import simple_spread_v3
from tensordict import TensorDict
from torchrl.data import Composite, OneHot, Unbounded
from torchrl.envs import GymEnv, PettingZooWrapper, SerialEnv
from torchrl.envs.libs.vmas import VmasEnv

from helpers import ROOT
from ilvf import ILVFP, CategoricalActor, Encircle, InfluenceCritic, UsageError, check_env
from ilvf.data.evaluation import episode_metrics, episode_sums, evaluate

spec = importlib.util.spec_from_file_location("own_env", ROOT / "examples" / "own_env.py")
own_env = importlib.util.module_from_spec(spec)
sys.modules["own_env"] = own_env
spec.loader.exec_module(own_env)
Rooms = own_env.Rooms


def complaints(env):
    """The lines of what `check_env` says against an environment."""
    with pytest.raises(UsageError) as caught:
        check_env(env)
    return str(caught.value).splitlines()


def simple_spread():
    env = simple_spread_v3.parallel_env(max_cycles=10)
    return PettingZooWrapper(
        env, group_map={"agents": list(env.possible_agents)}, categorical_actions=True
    )


# ---------------------------------------------------------------------- what fits
@pytest.mark.parametrize(
    ("env", "sizes"),
    [(Encircle(4, num_envs=2, seed=0), (4, 18, 6, 5)), (Rooms(6, num_envs=2), (6, 2, 2, 3))],
    ids=["encircle", "rooms"],
)
def test_a_whole_environment_has_no_notes(env, sizes):
    facts = check_env(env)
    assert facts.notes == ()
    assert (facts.n_agents, facts.observation_dim, facts.state_dim, facts.n_actions) == sizes
    assert facts.state_key == "state"
    assert str(facts).startswith("ok: ")


def test_what_is_optional_is_noted():
    """VMAS: no truncated (by default), no states, no horizon, no get_state."""
    facts = check_env(
        VmasEnv("navigation", num_envs=2, continuous_actions=False, n_agents=3, seed=0)
    )
    assert (facts.n_agents, facts.observation_dim, facts.n_actions, facts.state_key) == (
        3,
        18,
        9,
        "observation",
    )
    assert [n.split()[0:2] for n in facts.notes[:4]] == [
        ["no", "'truncated':"],
        ["no", "('agents',"],
        ["no", "attribute"],
        ["no", "get_state"],
    ]
    spread = check_env(SerialEnv(2, simple_spread))
    assert (spread.n_agents, spread.observation_dim, spread.n_actions) == (3, 18, 5)


# ---------------------------------------------------------------------- what does not
class Other(Rooms):
    """Rooms with one thing wrong."""

    def __init__(self, change=None, **options):
        super().__init__(4, num_envs=2, **options)
        self.change = change or (lambda out: out)

    def _step(self, td):
        return self.change(super()._step(td))


def changed(key, value):
    def change(out):
        out[key] = value(out[key])
        return out

    return Other(change)


def test_what_the_trial_shows():
    lines = complaints(changed(("agents", "reward"), lambda r: r * float("nan")))
    assert lines[1:] == ["('next', 'agents', 'reward') has entries that are NaN or infinite"]
    lines = complaints(changed(("agents", "observation"), lambda o: o / 0.0))
    assert len(lines) == 3
    assert all("observation" in line for line in lines[1:])
    assert (
        check_env(changed(("agents", "reward"), lambda r: r + torch.rand(()))).notes == ()
    )  # torch's seed is held
    drifting = iter(range(100))
    (note,) = check_env(changed(("agents", "reward"), lambda r: r + next(drifting))).notes
    assert "set_seed does not repeat" in note
    assert "reward" in note


class Masked(Rooms):
    """Rooms whose heaters may not be switched off; `make` is the mask of one step."""

    def __init__(self, make):
        super().__init__(4, num_envs=2)
        self.make = make

    def _look(self):
        out = super()._look()
        out["agents", "action_mask"] = self.make()
        return out

    def _step(self, td):
        assert (td["agents", "action"] > 0).all()
        return super()._step(td)


def test_masks():
    allowed = torch.tensor([False, True, True])
    assert check_env(
        Masked(lambda: allowed.expand(2, 4, 3).clone())
    ).masked  # plays allowed actions only
    always = torch.ones(2, 4, 3)
    always_on = Masked(always.clone)
    always_on._step = functools.partial(Rooms._step, always_on)
    assert any("torch.float32" in line and "torch.bool" in line for line in complaints(always_on))


def test_other_widths_and_kinds():
    only_two = torch.zeros(2, 4, 7, dtype=torch.bool)
    only_two[..., 2] = True
    assert any(
        "action_mask" in line and "(2, 3, 4, 3)" in line
        for line in complaints(Masked(only_two.clone))
    )
    double = changed(("agents", "observation"), torch.Tensor.double)
    assert any("torch.float64" in line and "networks" in line for line in complaints(double))

    class Broken(Rooms):
        def _step(self, td):
            raise ValueError("the fan is stuck")

    assert complaints(Broken(4, num_envs=2)) == [
        "Broken fails in 3 random steps: ValueError: the fan is stuck"
    ]


def test_states_that_do_not_lead_back():
    class Forgetful(Rooms):
        def set_state(self, state):
            pass

    class Vague(Rooms):
        def get_state(self):
            return {"a": 1}

    assert "do not lead back" in complaints(Forgetful(4, num_envs=2))[1]
    assert "['a']" in complaints(Vague(4, num_envs=2))[1]


def test_what_the_specs_show():
    lines = complaints(simple_spread())
    assert "batch_size is ()" in lines[1]
    assert "SerialEnv" in lines[1]
    lines = complaints(SerialEnv(2, functools.partial(GymEnv, "CartPole-v1")))
    assert [
        w in " ".join(lines[1:])
        for w in ("('agents', 'action')", "('agents', 'reward')", "observation")
    ] == [True] * 3
    assert len(lines) == 4
    continuous = VmasEnv("navigation", num_envs=2, continuous_actions=True, n_agents=3, seed=0)
    assert "need Categorical" in complaints(continuous)[1]
    env = Rooms(4, num_envs=2)
    env.action_spec = Composite(
        agents=Composite(action=OneHot(3, (2, 4, 3)), shape=(2, 4)), shape=(2,)
    )
    assert "OneHot" in complaints(env)[1]
    env = Rooms(4, num_envs=2)
    env.reward_spec = Composite(reward=Unbounded((2, 1)), shape=(2,))
    assert "one per agent" in complaints(env)[1]
    assert "no TorchRL environment" in complaints_of(3)


def complaints_of(thing):
    with pytest.raises(UsageError) as caught:
        check_env(thing)
    return str(caught.value)


# ---------------------------------------------------------------------- and it runs
def test_an_environment_that_is_not_ours_is_trained():
    """VMAS, as it is: ILVF-P reads observations for states and counts episodes itself."""
    make = functools.partial(vmas, max_steps=8)
    facts = check_env(make(num_envs=2))
    n = facts.n_agents
    actor = CategoricalActor(n, facts.observation_dim, facts.n_actions, hidden=8)
    critic = InfluenceCritic(n, facts.state_dim, facts.n_actions, hidden=8)
    options = dict(
        num_envs=4, rollout_steps=8, epochs=2, minibatches=2, eval_every=1, eval_episodes=3
    )
    module = ILVFP(make, actor, critic, state_key=facts.state_key, eval_steps=8, **options)
    before = torch.cat([p.detach().flatten() for p in module.parameters()])
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module)
    assert not torch.equal(before, torch.cat([p.detach().flatten() for p in module.parameters()]))
    metrics = module.last_metrics
    assert metrics["eval/episode/length"] == 8
    assert metrics["eval/return/team"] == pytest.approx(
        metrics["eval/reward/agent_step"] * 8 * n, rel=1e-4
    )


def vmas(num_envs, seed=0, device="cpu", max_steps=8):
    return VmasEnv(
        "navigation",
        num_envs=num_envs,
        continuous_actions=False,
        n_agents=3,
        max_steps=max_steps,
        seed=seed,
        device=device,
    )


def test_only_first_episodes_count_in_an_evaluation():
    """Rooms of horizon 3, played for 5 steps: the return is that of the first three."""

    class Never:
        def __call__(self, td):
            return td.set(("agents", "action"), torch.zeros(td.shape[0], 4, dtype=torch.long))

    metrics, rollout = evaluate(Rooms(4, num_envs=2, horizon=3), Never(), max_steps=5)
    first = rollout["next", "agents", "reward"][:, :3]
    assert metrics["return/team"] == pytest.approx(first.sum().item() / 2, rel=1e-5)
    assert metrics["episode/length"] == 3
    metrics, rollout = evaluate(
        Rooms(4, num_envs=2, horizon=9), Never(), max_steps=5
    )  # cut off before its end
    assert metrics["return/team"] == pytest.approx(
        rollout["next", "agents", "reward"].sum().item() / 2, rel=1e-5
    )
    assert metrics["episode/length"] == 5


def broken_rollout(returns, interrupted):
    """[B, 3]: the first episode of every row ends in its second step, with these statistics; nobody is paid but 1."""
    b, ends = (
        len(returns),
        torch.tensor([False, True, False]).view(1, 3, 1).expand(len(returns), 3, 1),
    )
    statistics = {"return": returns, "interrupted": interrupted}
    episode = {
        k: ends * torch.tensor(v, dtype=torch.float32).view(b, 1, 1) for k, v in statistics.items()
    }
    content = {"agents": {"reward": torch.ones(b, 3, 4, 1)}, "done": ends, "episode": episode}
    return TensorDict({"next": content}, [b, 3])


@pytest.mark.parametrize(
    ("interrupted", "team", "share"),
    [([0, 0, 0], 20, 0), ([0, 1, 0], 15, 1 / 3), ([1, 1, 1], None, 1)],
)
def test_interrupted_episodes_are_left_out_of_the_means(interrupted, team, share):
    """Returns of 10, 30 and 20: their mean, that of the first and the last, none; rewards of training stay."""
    sums = episode_sums(broken_rollout([10, 30, 20], interrupted))
    metrics = episode_metrics({k: float(v) for k, v in sums.items()})
    assert metrics.get("return/team") == team
    assert metrics["episode/interrupted"] == pytest.approx(share)
    assert metrics["reward/agent_step"] == 1


def test_episodes_of_different_lengths_side_by_side():
    """SerialEnv of two PettingZoo environments of 5 and 9 steps, played for 12."""

    def one(cycles):
        env = simple_spread_v3.parallel_env(max_cycles=cycles)
        return PettingZooWrapper(
            env, group_map={"agents": list(env.possible_agents)}, categorical_actions=True
        )

    env = SerialEnv(2, [functools.partial(one, 5), functools.partial(one, 9)])
    metrics, _ = evaluate(env, CategoricalActor(3, 18, 5, hidden=8), max_steps=12)
    assert metrics["episode/length"] == 7


def test_no_horizon_is_said_before_training(refused):
    make = functools.partial(vmas)
    actor, critic = CategoricalActor(3, 18, 9, hidden=8), InfluenceCritic(3, 18, 9, hidden=8)
    module = ILVFP(make, actor, critic, state_key="observation", num_envs=2, rollout_steps=4)
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with refused("horizon", "eval_steps"):
        trainer.fit(module)
