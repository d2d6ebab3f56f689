"""What all batched environments must do; every environment of the registry is tested."""

import functools

import pytest
import torch
from torchrl.envs.utils import check_env_specs

from continuous_helpers import Aim
from env_helpers import play_random
from ilvf.envs import CACC, BatchedEnv, CapturePrey, Encircle, Vmas, make_env
from ilvf.envs.options import ENVIRONMENTS

REGISTERED = {
    name: functools.partial(make_env, name, **declaration.contract)
    for name, declaration in ENVIRONMENTS.items()
    if declaration.contract is not None
}


def held_actions(horizon=600, **options):
    """CACC whose environment steps are two steps of 0.1 s."""
    return CACC(
        "slow-down",
        5,
        collision_rule="pay_to_horizon",
        action_repeat=2,
        horizon=2 * horizon,
        **options,
    )


VARIANTS = {
    "encircle with obstacles": functools.partial(Encircle, 6, 2, angle="unsigned"),
    "encircle with continuous actions": functools.partial(Encircle, 4, continuous=True),
    "two boxes": Aim,
    "capture_prey with moving prey": functools.partial(
        CapturePrey, 3, 2, 6, mode="cooperative", graph="full", n_prey=2, prey_policy="random"
    ),
    "cacc with held actions": held_actions,
    "vmas with ends, and a reward of the team": functools.partial(Vmas, "balance"),
    "vmas with observations of several sizes": functools.partial(Vmas, "simple_tag"),
}
ENVS = {**REGISTERED, **VARIANTS}


def test_the_registry_has_the_environments_of_this_library():
    assert set(REGISTERED) >= {"encircle", "capture_prey", "cacc", "tabular", "vmas"}


@pytest.mark.parametrize("make", ENVS.values(), ids=ENVS)
class TestEveryEnvironment:
    def test_data_agrees_with_the_specs(self, make):
        check_env_specs(make(num_envs=3, seed=0), seed=0)

    def test_the_same_seed_repeats_a_rollout(self, make):
        env = make(num_envs=3, seed=4)
        first = play_random(env)
        env.set_seed(4)
        assert (first == play_random(env)).all()

    def test_another_seed_gives_another_rollout(self, make):
        first = play_random(make(num_envs=3, seed=4))
        other = play_random(make(num_envs=3, seed=5))
        assert not torch.equal(first["agents", "state"], other["agents", "state"])

    def test_a_batch_of_six_equals_six_single_environments(self, make, monkeypatch):
        """With the same random numbers: what is drawn in a step is `[B, ...]`."""
        batch = make(num_envs=6, seed=0)
        batch.reset()
        start = batch.get_state()
        batch.set_state(start)
        rand = torch.rand
        drawn = []

        def record(*args, **options):
            drawn.append(rand(*args, **options))
            return drawn[-1]

        monkeypatch.setattr(torch, "rand", record)
        together = play_random(batch, steps=8)
        monkeypatch.setattr(torch, "rand", rand)
        for i in range(6):
            single = make(num_envs=1, seed=0)
            world = {name: x[i : i + 1] for name, x in start.items() if name != "rng"}
            single.set_state({**world, "rng": single.rng.get_state()})
            numbers = iter([u[i : i + 1] for u in drawn])
            monkeypatch.setattr(torch, "rand", lambda *_, numbers=numbers, **__: next(numbers))
            alone = play_random(single, steps=8)
            monkeypatch.setattr(torch, "rand", rand)
            self.assert_same_agents(alone[0]["next", "agents"], together[i]["next", "agents"])

    @staticmethod
    def assert_same_agents(found, expected):
        for key in ("observation", "state"):
            assert torch.allclose(found[key], expected[key], atol=1e-5)
        assert torch.allclose(found["reward"], expected["reward"], atol=1e-4)

    def test_a_restored_state_continues_exactly(self, make):
        """For 12 steps of episodes of 5, so that resets are restored, too."""
        env = make(num_envs=3, horizon=5, seed=0)
        other = make(num_envs=3, horizon=5, seed=99)
        play_random(env, steps=3)
        state = env.get_state()
        env.set_state(state)
        other.set_state(state)
        assert (play_random(env) == play_random(other)).all()

    def test_a_state_of_another_number_of_environments_is_refused(self, make, refused):
        three = make(num_envs=3, seed=0)
        three.reset()
        with refused("(3,)", "(2,)"):
            make(num_envs=2, seed=0).set_state(three.get_state())

    def test_a_restored_state_is_the_present_one_until_a_seed_is_set(self, make):
        env = make(num_envs=2, seed=0)
        play_random(env, steps=3)
        state = env.get_state()
        env.reset()
        env.set_state(state)
        again = env.get_state()
        assert again.keys() == state.keys()
        assert all(torch.equal(again[name], state[name]) for name in state)
        first = make(num_envs=2, seed=5).reset()
        env.set_seed(5)
        assert (env.reset() == first).all()

    def test_actions_of_another_type_are_refused(self, make, refused):
        env = make(num_envs=2, seed=0)
        td = env.rand_action(env.reset())
        action = td["agents", "action"]
        wrong = action.double() if action.is_floating_point() else action.float()
        with refused("('agents', 'action')", str(wrong.dtype)):
            env.step(td.set(("agents", "action"), wrong))

    def test_it_stays_on_its_device(self, make, refused):
        env = make(num_envs=2, seed=0)
        assert env.to("cpu") is env
        with refused("cannot move from cpu to meta", "device='meta'"):
            env.to("meta")

    def test_a_state_of_another_environment_is_refused(self, make, refused):
        env = make(num_envs=3, seed=0)
        env.reset()
        state = env.get_state()
        name = next(name for name in state if name not in ("step", "return", "rng"))
        for wrong in ({**state, name: state[name].unsqueeze(-1)}, {"rng": state["rng"]}):
            with refused(f"the saved state's {name} has the shape", "another environment"):
                env.set_state(wrong)

    def test_graphs_are_boolean_with_a_true_diagonal(self, make):
        env = make(num_envs=1, seed=0)
        for name in ("observation_graph", "transition_graph", "reward_graph", "value_graph"):
            if not isinstance(env, BatchedEnv):
                assert not hasattr(env, name)  # nobody must take a guess for the truth
                continue
            graph = getattr(env, name)
            assert graph.dtype == torch.bool
            assert graph.shape == (env.n_agents, env.n_agents)
            assert graph.diagonal().all()
