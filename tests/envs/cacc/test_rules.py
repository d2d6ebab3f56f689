"""The rule-based controllers of CACC."""

import pytest
import torch

from ilvf.data.evaluation import evaluate
from ilvf.envs import CACC
from ilvf.envs.cacc.rules import Linear

CONSTANT = {"catch-up": 3.383, "slow-down": 1.619}  # cost_to_bound
LINEAR = {"catch-up": 1.29, "slow-down": 1.08}  # an upper limit of cost_to_bound


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["catch-up", "slow-down"])
@pytest.mark.parametrize("name", ["constant", "linear"])
def test_rules_reach_the_published_costs(scenario, name):
    """From the six fixed starts, without a collision."""
    env = CACC(scenario, num_envs=6, ratio="evaluation", seed=0).eval()
    metrics, rollout = evaluate(env, env.rules[name](), max_steps=env.horizon)
    cost = metrics["episode/cost_to_bound"]
    if name == "constant":
        assert cost == pytest.approx(CONSTANT[scenario], abs=1e-3)
    else:
        assert 1 < cost < LINEAR[scenario]
    assert metrics["episode/collision"] == 0
    team = rollout["next", "agents", "reward"].sum((-1, -2))  # [B, T]
    assert metrics["episode/cost"] == pytest.approx(-team.mean().item(), rel=1e-4)
    assert rollout["next", "truncated"][:, -1].all()


@pytest.mark.parametrize(("name", "reach"), [("constant", []), ("linear", [0, 1])])
def test_a_rule_acts_on_few_states(name, reach):
    """The linear rule of a vehicle reads its own state and that of the vehicle in front."""
    env = CACC(n_agents=5, num_envs=1, seed=0)
    td = env.rollout(5)[:, -1]
    rule = env.rules[name]()
    before = rule(td.clone())["agents", "action"]
    assert before.shape == (1, 5)
    for j in range(5):
        other = td.clone()
        other["agents", "state"][:, j] += torch.randn(5)
        changed = rule(other)["agents", "action"] != before
        assert set(changed[0].nonzero().flatten().tolist()) <= {j + k for k in reach}


def test_the_linear_rule_steers_to_the_targets():
    """One vehicle, although V(22 m) is not 14 m/s."""
    options = dict(n_agents=1, target_headway=22.0, target_speed=14.0, ratio=1.5, seed=0)
    env = CACC(**options).eval()
    last = env.rollout(600, env.rules["linear"]())[:, -1]
    assert not last["next", "episode", "collision"].any()
    assert env.world["headway"].item() == pytest.approx(22, abs=1.0)
    assert env.world["speed"].item() == pytest.approx(14, abs=0.5)


def test_gains_of_an_unknown_scenario_are_refused(refused):
    with refused("catchup", "catch-up"):
        Linear("catchup")


@pytest.mark.slow
def test_a_rule_is_evaluated_by_name(recipe, tmp_path, capsys):
    code = recipe(
        "evaluate",
        "env=cacc",
        "policy=linear",
        "env.ratio=evaluation",
        "algorithm.eval_episodes=6",
        f"out={tmp_path}",
    )
    assert code == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "cost_to_bound" in x)
    assert float(line.split()[-1]) == pytest.approx(1.288, abs=2e-3)
    assert (tmp_path / "linear-cacc-episode.png").stat().st_size > 10_000
