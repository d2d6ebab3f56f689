"""What every environment and every discretisation must do; a new one is one line here."""

import pytest
import torch
from torchrl.envs.utils import check_env_specs

from ilvf.credit import Bernoulli, Soft, Threshold
from ilvf.envs import CACC, CapturePrey, Encircle, Tabular

ENVS = {
    "encircle": lambda **k: Encircle(6, **k),
    "encircle with obstacles": lambda **k: Encircle(6, 2, angle="unsigned", **k),
    "capture prey": lambda **k: CapturePrey(**k),
    "capture moving prey": lambda **k: CapturePrey(
        3, 2, 6, mode="cooperative", graph="full", n_prey=2, prey_policy="random", **k
    ),
    "cacc": lambda **k: CACC(**k),
    "cacc, held and paid": lambda horizon=600, **k: CACC(
        "slow-down", 5, collision_rule="pay_to_horizon", action_repeat=2, horizon=2 * horizon, **k
    ),
    "tabular": lambda **k: Tabular("switch", n_agents=4, **k),
}


def rollout(env, steps=12, seed=5):
    """Random actions that do not depend on the env's batch: [B, T]."""
    b, n = env.batch_size[0], env.n_agents
    actions = torch.randint(
        env.n_actions, (steps, n), generator=torch.Generator().manual_seed(seed)
    )
    td, out = env.reset(), []
    for action in actions:
        td.set(("agents", "action"), action.expand(b, n))
        full, td = env.step_and_maybe_reset(td)
        out.append(full)
    return torch.stack(out, 1)


@pytest.mark.parametrize("make", ENVS.values(), ids=ENVS)
class TestEnv:
    def test_specs(self, make):
        check_env_specs(make(num_envs=3, seed=0), seed=0)

    def test_reseeding_repeats(self, make):
        env = make(num_envs=3, seed=4)
        first = rollout(env)
        env.set_seed(4)
        again = rollout(env)
        assert (first == again).all()
        env.set_seed(5)
        assert not torch.equal(first["agents", "state"], rollout(env)["agents", "state"])

    def test_a_batch_of_six_equals_six_of_one(self, make, monkeypatch):
        """Given the same noise: environments that draw while they move draw `[B, ...]` uniforms."""
        rand, drawn = torch.rand, []
        monkeypatch.setattr(torch, "rand", lambda *a, **k: drawn.append(rand(*a, **k)) or drawn[-1])
        many = make(num_envs=6, seed=0)
        many.reset()
        worlds = [{k: v[i : i + 1].clone() for k, v in many.world.items()} for i in range(6)]
        many.set_state(many.get_state())
        drawn.clear()
        batch, noise = rollout(many, steps=8), list(drawn)
        for i, world in enumerate(worlds):
            one = make(num_envs=1, seed=0)
            one.set_state({**world, "rng": one.rng.get_state()})
            mine = iter([u[i : i + 1] for u in noise])
            monkeypatch.setattr(torch, "rand", lambda *_, mine=mine, **__: next(mine))
            alone = rollout(one, steps=8)
            for key in ("observation", "state"):
                assert torch.allclose(
                    alone["next", "agents", key][0], batch["next", "agents", key][i], atol=1e-5
                )
            reward = ("next", "agents", "reward")
            assert torch.allclose(alone[reward][0], batch[reward][i], atol=1e-4)
            monkeypatch.setattr(torch, "rand", rand)

    def test_restoring_continues_exactly(self, make):
        env = make(num_envs=3, horizon=5, seed=0)
        rollout(env, 3)
        state = env.get_state()
        other = make(num_envs=3, horizon=5, seed=99)
        env.set_state(state)
        other.set_state(state)
        assert (
            rollout(env) == rollout(other)
        ).all()  # past the end of the episode, so resets are equal too

    def test_graphs_are_boolean_with_a_true_diagonal(self, make):
        env = make(num_envs=1, seed=0)
        for name in ("observation_graph", "transition_graph", "reward_graph", "value_graph"):
            graph = getattr(env, name)
            assert graph.dtype == torch.bool
            assert graph.shape == (env.n_agents, env.n_agents)
            assert graph.diagonal().all()

    def test_another_number_of_environments_is_refused(self, make, refused):
        state = make(num_envs=3, seed=0)
        state.reset()
        with refused("3", "2"):
            make(num_envs=2, seed=0).set_state(state.get_state())


PARTS = {
    "threshold": Threshold(0.5),
    "noisy threshold": Threshold(0.5, noise=True),
    "bernoulli": Bernoulli(),
    "bernoulli without noise": Bernoulli(noise=False),
    "soft": Soft(),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
class TestDiscretise:
    def test_certainty_stays(self, part):
        """w = 0 and w = 1 come out as 0 and 1, with or without noise."""
        weight = torch.eye(4).expand(50, 4, 4)
        assert torch.equal(part(weight, None), weight)

    def test_more_weight_means_more_influence(self, part):
        g = torch.Generator().manual_seed(0)
        means = [
            part(torch.full((4000, 1, 1), w), g).mean().item() for w in (0.05, 0.3, 0.45, 0.6, 0.95)
        ]
        assert means == sorted(means)
        assert means[-1] > means[0] + 0.5

    def test_a_generator_makes_it_repeatable(self, part):
        weight = torch.rand(20, 4, 4)
        draws = [part(weight, torch.Generator().manual_seed(s)) for s in (3, 3)]
        assert torch.equal(*draws)
