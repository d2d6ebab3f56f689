"""CACC against the recorded traces of the reference, and against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from helpers import ROOT
from ilvf.analysis import audit, visited_states
from ilvf.data.evaluation import evaluate
from ilvf.envs import CACC
from ilvf.envs.cacc.draw import first_episode, physical
from ilvf.envs.cacc.env import EVALUATION_RATIOS
from ilvf.envs.cacc.physics import accelerate, lead_speed, suitable_speed
from ilvf.envs.cacc.rules import Constant, Linear
from ilvf.modules import CategoricalActor

DATA = ROOT / "tests" / "reference"
TRACES = sorted(p.stem for p in DATA.glob("cacc_*.npz"))
SCENARIO = {"catchup": "catch-up", "slowdown": "slow-down"}
G, HOLD = 1000.0, 0  # the collision penalty; the action without acceleration


# ---------------------------------------------------------------------- the reference
def begin(env, headway, speed):
    """The first observation of an episode that starts with these headways and speeds, `[B, N]`."""
    world = env.platoon(
        *(torch.as_tensor(np.array(x), dtype=torch.float64) for x in (headway, speed))
    )
    env.set_state({**world, "rng": env.rng.get_state()})
    return env.reset()


def step(env, td, action):
    """What follows when `action` `[B, N]` (or one for all) is taken, without resets."""
    shape = (*env.batch_size, env.n_agents)
    return env.step(
        td.set(("agents", "action"), torch.as_tensor(action).long().expand(shape).clone())
    )["next"]


def close(found, expected, rtol):
    expected = torch.as_tensor(np.array(expected)).double()
    error = (found.double() - expected).abs() - rtol * expected.abs()
    return error.max()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("scenario", SCENARIO)
def test_recorded_traces(scenario, train):
    """All traces of one kind side by side, every array, at every step."""
    traces = [np.load(DATA / f"{name}.npz") for name in TRACES]
    traces = [
        t for t in traces if str(t["scenario"]) == scenario and bool(t["train_mode"]) == train
    ]
    assert traces
    env = CACC(SCENARIO[scenario], num_envs=len(traces), seed=0).train(train)
    td = begin(env, [t["h0"] for t in traces], [t["v0"] for t in traces])
    length = [len(t["actions"]) for t in traces]
    sizes = (env.n_agents, env.horizon, env.collision_check_every, env.collision_penalty)
    for t in range(max(length) + 1):
        for i, trace in enumerate(traces):
            if t > length[i]:
                continue
            assert sizes == (
                len(trace["h0"]),
                trace["horizon"],
                trace["check_every"],
                trace["collision_penalty"],
            )
            for name in ("headway", "speed", "accel"):
                assert close(env.world[name][i], trace[name][t], 1e-5) <= 1e-5
            assert close(env.world["lead"][i], trace["lead_speed"][t], 1e-5) <= 1e-5
            for k in np.flatnonzero(trace["obs_step"] == t):
                compare_observations(
                    td["agents"][i], trace["obs_own"][k], trace["obs_with_neighbours"][k]
                )
        action = [trace["actions"][min(t, length[i] - 1)] for i, trace in enumerate(traces)]
        td = step(env, td, np.array(action))
        for i, trace in enumerate(traces):
            if t < length[i]:
                reward = td["agents", "reward"][i, :, 0]
                assert close(reward, trace["reward"][t], 1e-4) <= 1e-6
                assert close(reward.sum(), trace["global_reward"][t], 1e-4) <= 1e-6
                assert td["done"][i].item() == trace["done"][t]
                assert td["episode", "collision"][i].item() == trace["collision"][t]


def compare_observations(agents, own, with_neighbours):
    """The traces put the neighbours that exist one after the other; here each has its place."""
    assert close(agents["state"], own, 1e-5) <= 1e-5
    for i, (seen, mask, row) in enumerate(
        zip(agents["observation"], agents["observation_mask"], with_neighbours, strict=True)
    ):
        present = row[~np.isnan(row)]
        assert mask.sum() == len(present) == (10 if i in (0, len(own) - 1) else 15)
        assert close(seen[mask], present, 1e-5) <= 1e-5
        assert not seen[~mask].any()


def test_all_traces_are_here():
    assert len(TRACES) == 16


# ---------------------------------------------------------------------- physics by hand
def test_the_speed_that_suits_a_headway():
    # 15 (1 − cos π/4) = 4.393398 at 12.5 m, 15 (1 − 0) at 20 m
    found = suitable_speed(tensor([-3.0, 5.0, 12.5, 20.0, 35.0, 90.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0, 0, 15 * (1 - math.sqrt(0.5)), 15, 30, 30])


def test_acceleration_by_hand():
    """One vehicle at 20 m and 12 m/s behind one at 13 m/s: V − v = 3, v_front − v = 1."""
    wide = [tensor([[x]] * 4, dtype=torch.float64) for x in (20.0, 12.0, 13.0)]
    gains = [tensor([[0.0], [0.5], [0.0], [0.5]]), tensor([[0.0], [0.0], [0.5], [0.5]])]
    speed, accel = accelerate(*wide, *gains)
    assert accel.flatten().tolist() == pytest.approx([0, 1.5, 0.5, 2.0])
    assert speed.flatten().tolist() == pytest.approx([12, 12.15, 12.05, 12.2])


def test_limits_by_hand():
    # at 50 m: V = 30; wish 0.5 · 30 → 2.5 m/s². at 29.9 m/s and 5 m: wish −15 → −2.5. at 36 m/s: cut to 30.
    # at 0.1 m/s and 5 m: wish −0.05, v = 0.095; 0.1 m/s behind one that reverses: wish −2 → below 0, cut to it
    vehicles = (
        [50.0, 5.0, 20.0, 5.0, 5.0],
        [0.0, 29.9, 36.0, 0.1, 0.1],
        [0.0, 29.9, 36.0, 0.1, -3.8],
    )
    headway, speed, front = (tensor([x], dtype=torch.float64) for x in vehicles)
    after, accel = accelerate(headway, speed, front, *torch.full((2, 1, 5), 0.5))
    assert after[0].tolist() == pytest.approx([0.25, 29.65, 30, 0.095, 0])
    assert accel[0].tolist() == pytest.approx([2.5, -2.5, -60, -0.05, -1])


def test_the_lead_brakes_evenly():
    time = tensor([0, 1, 100, 299, 300, 600])
    found = lead_speed(tensor([29.95]), time)  # 14.95 m/s in 299 steps: 0.05 m/s each
    assert found.tolist() == pytest.approx([29.95, 29.9, 24.95, 15, 15, 15])


def test_headway_follows_both_speeds():
    """Catch-up at rest: lead and vehicle 1 at 15 m/s, vehicle 2 at 14 m/s, gains 0: only h_2 grows, by 0.1 m."""
    env = CACC(n_agents=2, seed=0)
    td = step(env, begin(env, [[20.0, 20.0]], [[15.0, 14.0]]), HOLD)
    assert env.world["headway"][0].tolist() == pytest.approx([20, 20.1])
    # −0.1² − 1² = −1.01
    assert td["agents", "reward"][0, :, 0].tolist() == pytest.approx([0, -1.01])
    # own: v −1/15, closing 1/5; h + 0.1 − 20 = 0.2 → 0.01; V(20.1) − 14 = 15 (1 + sin(π 0.1/30)) − 14
    wanted = (1 + 15 * math.sin(math.pi * 0.1 / 30)) / 5
    assert td["agents", "state"][0, 1].tolist() == pytest.approx(
        [-1 / 15, 0.2, wanted, 0.01, 0], abs=1e-6
    )


# ---------------------------------------------------------------------- starts
def test_starts_are_drawn():
    for scenario, name, wanted in (("catch-up", "headway", 20.0), ("slow-down", "speed", 15.0)):
        env = CACC(scenario, 3, num_envs=500, seed=0)
        env.reset()
        ratio = env.world[name][:, 0] / wanted
        assert 1.5 <= ratio.min() < 1.52
        assert 2.48 < ratio.max() < 2.5
        others = env.world[name][:, 1:] / wanted
        assert torch.equal(
            others, ratio.unsqueeze(1).expand(-1, 2) if scenario == "slow-down" else others * 0 + 1
        )
        lead = ratio * 15 if scenario == "slow-down" else torch.full_like(ratio, 15)
        assert torch.allclose(env.world["lead"], lead)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (2.0, [2.0] * 8),
        ([1.5, 1.75, 2], [1.5, 1.75, 2, 1.5, 1.75, 2, 1.5, 1.75]),
        ("evaluation", [*EVALUATION_RATIOS, *EVALUATION_RATIOS[:2]]),
    ],
)
def test_fixed_starts(ratio, expected):
    env = CACC(ratio=ratio, num_envs=8, seed=0)
    for _ in range(2):
        env.reset()
        assert (env.world["headway"][:, 0] / 20).tolist() == pytest.approx(expected)
    assert np.linspace(1.58, 2.42, 6).tolist() == pytest.approx(EVALUATION_RATIOS)


# ---------------------------------------------------------------------- collisions
def crash(rule="reference", after=7, n=2, **options):
    """A platoon whose last vehicle closes 0.5 m a step and is below 1 m after `after` steps; nobody accelerates.

    Its headway before step k is 1 + 0.5 (after − k) − 0.25.
    """
    env = CACC(n_agents=n, collision_rule=rule, num_envs=1, seed=0, **options)
    headway, speed = [20.0] * (n - 1) + [0.75 + 0.5 * after], [15.0] * (n - 1) + [20.0]
    return env, begin(env, [headway], [speed])


def play(env, td, steps):
    """Rewards `[steps, N]`, steps at which something ended, and the last tensordict; stops at an end."""
    rewards, ends = [], []
    for t in range(1, steps + 1):
        td = step(env, td, HOLD)
        rewards.append(td["agents", "reward"][0, :, 0])
        if td["done"].item():
            ends.append((t, "terminated" if td["terminated"].item() else "truncated"))
            break
    return torch.stack(rewards), ends, td


@pytest.mark.parametrize(
    ("rule", "after", "options", "end"),
    [
        ("reference", 7, {}, (60, "terminated")),
        ("reference", 59, {}, (60, "terminated")),
        ("reference", 60, {}, (60, "terminated")),  # on the boundary
        ("reference", 61, {}, (120, "terminated")),
        ("reference", 7, dict(collision_check_every=5), (10, "terminated")),
        ("reference", 7, dict(collision_check_every=1), (7, "terminated")),
        ("reference", 7, dict(horizon=20), (20, "truncated")),
        ("reference", 7, dict(horizon=60), (60, "terminated")),  # its last step, too
        ("stop", 7, {}, (7, "terminated")),
        ("pay_to_horizon", 7, dict(horizon=130), (130, "truncated")),
    ],
)
def test_what_follows_a_collision(rule, after, options, end):
    env, td = crash(rule, after, **options)
    rewards, ends, td = play(env, td, 200)
    assert ends == [end]
    assert (rewards[: after - 1] > -G).all()
    assert (rewards[after - 1 :] == -G).all()  # everybody pays, from the collision on
    assert len(rewards) == end[0]
    assert env.world["headway"][0].tolist() == pytest.approx([20, 0.75])  # where it stopped
    assert td["episode", "collision"].item() == 1


def test_one_metre_is_not_a_collision():
    """15 and 20 m/s: the headway falls by exactly 0.5 m a step, 2 → 1.5 → 1 → 0.5."""
    env = CACC(n_agents=2, seed=0)
    td, collided = begin(env, [[20.0, 2.0]], [[15.0, 20.0]]), []
    for _ in range(3):
        td = step(env, td, HOLD)
        collided.append(td["episode", "collision"].item())
    assert collided == [0, 0, 1]


@pytest.mark.parametrize("rule", ["reference", "pay_to_horizon", "stop"])
def test_a_held_action_with_a_collision(rule):
    """After 7 of 10 steps: four of them pay G, or one, and the state is that of the collision."""
    single, td = crash(rule)
    rewards = torch.stack(
        [(td := step(single, td, HOLD))["agents", "reward"][0, :, 0] for _ in range(10)]
    )
    env, td = crash(rule, action_repeat=10)
    td = step(env, td, HOLD)
    assert td["agents", "reward"][0, :, 0].tolist() == pytest.approx(rewards.sum(0).tolist())
    assert td["agents", "reward"][0, 0, 0].item() == (-G if rule == "stop" else -4 * G)
    assert torch.equal(env.world["headway"], single.world["headway"])
    assert td["terminated"].item() == (rule == "stop")


@pytest.mark.parametrize("scenario", ["catch-up", "slow-down"])
def test_a_held_action_is_that_many_steps(scenario):
    """k = 4: the same states after every fourth step, the rewards between them summed, and an end after horizon / k."""
    single, held = (CACC(scenario, num_envs=3, seed=1, action_repeat=k, horizon=40) for k in (1, 4))
    one, four = single.reset(), held.reset()
    for k in range(10):
        action = torch.randint(4, (3, 8), generator=torch.Generator().manual_seed(k))
        total = 0
        for _ in range(4):
            one = step(single, one, action)
            total = total + one["agents", "reward"]
        four = step(held, four, action)
        assert torch.allclose(four["agents", "reward"], total)
        for key in ("state", "observation"):
            assert torch.equal(four["agents", key], one["agents", key])
        for key in held.statistic_names:
            assert torch.equal(four["episode", key], one["episode", key])
        assert four["truncated"].all() == one["truncated"].all() == (k == 9)
    assert held.horizon == four["episode", "length"][0].item() == 10


# ---------------------------------------------------------------------- rewards and statistics
def test_the_soft_penalty_is_for_training_only():
    """Headways 9 m and 12 m at 15 m/s: −11² and −8², and in training −5 · 1² for the first."""
    for train, weight, expected in (
        (True, 5.0, -126.0),
        (False, 5.0, -121.0),
        (True, 2.0, -123.0),
        (True, 0.0, -121),
    ):
        env = CACC(n_agents=2, soft_penalty=weight, seed=0).train(train)
        td = step(env, begin(env, [[9.0, 12.0]], [[15.0, 15.0]]), HOLD)
        assert td["agents", "reward"][0, :, 0].tolist() == pytest.approx([expected, -64.0])
        assert td["episode", "cost"].item() == pytest.approx(185)


def test_statistics_by_hand():
    """One vehicle at 40 m and 15 m/s: it wants to be 15 m/s faster, so action 3 is u = 2.5 m/s² in both steps."""
    env = CACC(n_agents=1, seed=0).eval()
    td = begin(env, [[40.0]], [[15.0]])
    for _ in range(2):
        td = step(env, td, 3)
    # v = 15.25, 15.5; h = 40 − 0.0125 = 39.9875, then − 0.05 · (0.25 + 0.5) = 39.95
    headway, speed = [19.9875, 19.95], [0.25, 0.5]
    expected = {
        "headway_error": math.sqrt(sum(x * x for x in headway) / 2),
        "speed_error": math.sqrt(sum(x * x for x in speed) / 2),
        "acceleration": 2.5,
        "jerk": math.sqrt(25**2 / 2),  # 0 → 2.5 m/s² in 0.1 s, then none
        "min_headway": 39.95,
        "collision": 0,
        "cost": sum(h * h + v * v + 0.625 for h, v in zip(headway, speed, strict=True)) / 2,
    }
    found = {k: v.item() for k, v in td["episode"].items()}
    assert found == pytest.approx(
        {**expected, "length": 2, "return": -2 * expected["cost"]}, rel=1e-5
    )


@pytest.mark.parametrize("rule", ["reference", "pay_to_horizon", "stop"])
def test_cost_of_a_collision_is_counted_to_the_horizon(rule):
    """Two safe steps at 5 m/s too fast, then G for both vehicles for 118 of 120 steps, under every rule."""
    env, td = crash(rule, after=3, horizon=120)
    env.eval()
    rewards, _, td = play(env, td, 120)
    safe = -rewards[:2].sum().item()
    # headway after steps 1 and 2: 1.75 m, 1.25 m
    assert safe == pytest.approx(18.25**2 + 18.75**2 + 2 * 25)
    assert td["episode", "cost"].item() == pytest.approx((safe + 118 * 2 * G) / 120)
    assert td["episode", "headway_error"].item() == pytest.approx(
        math.sqrt((18.25**2 + 18.75**2) / 4)
    )
    assert td["episode", "min_headway"].item() == pytest.approx(0.75)


def test_the_bound_is_for_its_setting_only():
    known = [
        CACC(n_agents=n, horizon=h, seed=0).statistic_names
        for n, h in ((8, 600), (7, 600), (8, 300))
    ]
    assert ["cost_to_bound" in names for names in known] == [True, False, False]
    env = CACC("slow-down", seed=0)
    td = step(env, env.reset(), HOLD)
    assert td["episode", "cost_to_bound"].item() == pytest.approx(
        td["episode", "cost"].item() / 302.4
    )


# ---------------------------------------------------------------------- rules
@pytest.fixture(scope="module", params=["catch-up", "slow-down"])
def episodes(request):
    """scenario, {rule: (metrics, rollout)} from the six fixed starts."""
    env = CACC(request.param, num_envs=6, ratio="evaluation", seed=0).eval()
    return env, {
        name: evaluate(env, make(), max_steps=env.horizon) for name, make in env.rules.items()
    }


def test_rules_reach_the_published_ratios(episodes):
    env, found = episodes
    ratio = {name: metrics["episode/cost_to_bound"] for name, (metrics, _) in found.items()}
    assert ratio["constant"] == pytest.approx(
        {"catch-up": 3.383, "slow-down": 1.619}[env.scenario], abs=1e-3
    )
    assert 1 < ratio["linear"] < {"catch-up": 1.29, "slow-down": 1.08}[env.scenario]
    for metrics, rollout in found.values():
        assert metrics["episode/collision"] == 0
        team = rollout["next", "agents", "reward"].sum((-1, -2))  # [B, T]
        assert metrics["episode/cost"] == pytest.approx(-team.mean().item(), rel=1e-4)
        assert rollout["next", "truncated"][:, -1].all()


def test_rules_need_no_more_than_their_states():
    """Alone they act as in the batch, and the linear rule of a vehicle looks at itself and the one in front."""
    env = CACC(n_agents=5, num_envs=1, seed=0)
    td = env.rollout(5)[:, -1]
    for make in env.rules.values():
        rule = make()
        before = rule(td.clone())["agents", "action"]
        assert before.shape == (1, 5)
        for j in range(5):
            other = td.clone()
            other["agents", "state"][:, j] += torch.randn(5)
            changed = (rule(other)["agents", "action"] != before)[0].nonzero().flatten().tolist()
            assert set(changed) <= ({j, j + 1} if len(rule.state_dict()) else set())


def test_evaluate_by_name(recipe, tmp_path, capsys):
    args = (
        "env=cacc",
        "policy=linear",
        "env.ratio=evaluation",
        "algorithm.eval_episodes=6",
        f"out={tmp_path}",
    )
    assert recipe("evaluate", *args) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "cost_to_bound" in x)
    assert float(line.split()[-1]) == pytest.approx(1.288, abs=2e-3)
    assert (tmp_path / "linear-cacc-episode.png").stat().st_size > 10_000


# ---------------------------------------------------------------------- who couples to whom
def rows(graph):
    return [graph[i].nonzero().flatten().tolist() for i in range(len(graph))]


def test_graphs_by_hand():
    env = CACC(n_agents=4, seed=0)
    assert rows(env.transition_graph) == [[0], [0, 1], [1, 2], [2, 3]]
    assert rows(env.observation_graph) == [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]]
    assert rows(CACC(n_agents=4, observe_neighbors=False, seed=0).observation_graph) == [
        [0],
        [1],
        [2],
        [3],
    ]
    assert env.reward_graph.all()
    assert env.value_graph.all()
    assert env.influence_graph.all()


def moved_states(env, world, action):
    world = env.advance(world, action)
    return env.observe(world)[0], world


def test_transition_graph_is_true_of_the_actions():
    """Another action of j changes the next states of j and j + 1, and of nobody else."""
    env = CACC("slow-down", 5, num_envs=1, seed=0)
    env.reset()
    world, action = {**env.world, "speed": env.world["speed"] * 0 + 20}, torch.full((1, 5), 3)
    world["headway"] = tensor([[22.0, 19, 18, 23, 17]], dtype=torch.float64)
    world["speed"] = tensor([[20.0, 21, 19.5, 18, 22]], dtype=torch.float64)
    before, _ = moved_states(env, world, action)
    for j in range(5):
        other = action.clone()
        other[:, j] = 0
        changed = (moved_states(env, world, other)[0] - before)[0].abs().amax(-1) > 1e-6
        assert torch.equal(changed, env.transition_graph[:, j])


def test_reward_graph_is_true_of_the_rewards():
    """A vehicle that ends up elsewhere changes its own reward; if it collides, everybody's."""
    env = CACC(n_agents=4, num_envs=1, seed=0)
    world = env.platoon(torch.full((1, 4), 25.0), torch.full((1, 4), 15.0))
    before = env.advance(world, torch.zeros(1, 4).long())["reward"]
    for j in range(4):
        for headway, expected in ((24.0, torch.eye(4).bool()), (0.5, env.reward_graph)):
            moved = {**world, "headway": world["headway"].clone()}
            moved["headway"][:, j] = headway
            changed = (env.advance(moved, torch.zeros(1, 4).long())["reward"] - before)[
                0
            ].abs() > 1e-6
            assert torch.equal(changed, expected[:, j])


def test_actions_move_the_returns_of_those_behind():
    """By intervention: without neighbours in the observation nothing runs up the platoon, and all of it down."""
    torch.manual_seed(0)
    options = dict(n_agents=4, horizon=30, observe_neighbors=False, seed=0)
    actor = CategoricalActor(4, 5, 4)
    states = visited_states(CACC(num_envs=8, **options), actor)
    found = audit(CACC(num_envs=128, **options).eval(), actor, states)
    assert torch.equal(found.significant, torch.ones(4, 4).triu().bool())


@pytest.mark.parametrize("observe_neighbors", [True, False])
def test_observation_graph_is_true_of_the_observations(observe_neighbors):
    """Own state first, then the vehicle in front, then the one behind."""
    env = CACC(n_agents=4, observe_neighbors=observe_neighbors, num_envs=3, seed=0)
    td = env.rollout(4)[:, -1]
    state, observation, mask = (
        td["agents", k] for k in ("state", "observation", "observation_mask")
    )
    assert observation.shape == (3, 4, env.observation_dim)
    for i in range(4):
        places = [i, i - 1, i + 1] if observe_neighbors else [i]
        for k, j in enumerate(places):
            part = slice(5 * k, 5 * k + 5)
            there = 0 <= j < 4
            assert torch.equal(observation[:, i, part], state[:, j] if there else torch.zeros(3, 5))
            assert (mask[:, i, part] == there).all()
        assert sorted(j for j in places if 0 <= j < 4) == rows(env.observation_graph)[i]


def test_one_vehicle_alone():
    env = CACC(n_agents=1, seed=0)
    td = env.rollout(3)[:, -1]
    assert td["agents", "observation_mask"][0, 0].tolist() == [True] * 5 + [False] * 10
    assert not td["agents", "observation"][0, 0, 5:].any()


# ---------------------------------------------------------------------- pictures
@pytest.mark.parametrize("repeat", [1, 5])
def test_draw_shows_the_first_episode(tmp_path, repeat):
    env = CACC("slow-down", 3, horizon=60, action_repeat=repeat, num_envs=2, seed=0)
    rollout = env.rollout(100 // repeat, break_when_any_done=False)
    figure = env.draw(rollout, index=1)
    upper, lower = figure.axes
    time, headway = upper.lines[0].get_data()
    assert len(upper.lines) == 3 + 2  # vehicles, and two marks
    assert len(lower.lines) == 3 + 2  # the lead too
    assert time[-1] == pytest.approx(6.0)
    assert len(headway) == 60 // repeat + 1
    figure.savefig(tmp_path / "path", format="png")
    assert (tmp_path / "path").stat().st_size > 10_000
    assert len(env.draw(index=1).axes[0].lines[0].get_xdata()) == 1


def test_the_picture_is_in_metres():
    """Headways and speeds worked back from the states are the world's, at every step."""
    env = CACC("catch-up", 4, num_envs=2, seed=3)
    td, truth = env.reset(), []

    def act(td):
        truth.append((env.world["headway"][1], env.world["speed"][1]))
        return env.rand_action(td)

    frames = env.rollout(30, act, auto_reset=False, tensordict=td)[1]
    truth.append((env.world["headway"][1], env.world["speed"][1]))
    headway, speed = physical(
        first_episode(frames, ("agents", "state")), first_episode(frames, "lead_speed")
    )
    assert torch.allclose(headway.double(), torch.stack([h for h, _ in truth]), atol=1e-4)
    assert torch.allclose(speed.double(), torch.stack([v for _, v in truth]), atol=1e-5)


def test_a_collision_is_marked():
    env, td = crash(after=7)
    hold = Constant(HOLD)
    assert (
        env.draw(env.rollout(20, hold, auto_reset=False, tensordict=td)).axes[0].get_title()
        == "collision after 0.7 s"
    )
    safe = CACC(seed=0)
    assert not safe.draw(safe.rollout(20, hold)).axes[0].get_title()


# ---------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(scenario="catchup"), ("catchup", "catch-up", "slow-down")),
        (dict(collision_rule="never"), ("never", "pay_to_horizon")),
        (dict(n_agents=0), ("n_agents=0", "at least 1")),
        (dict(collision_penalty=-1.0), ("collision_penalty=-1.0",)),
        (dict(soft_penalty=-5.0), ("soft_penalty=-5.0",)),
        (dict(collision_check_every=0), ("collision_check_every=0",)),
        (dict(action_repeat=0), ("action_repeat=0",)),
        (dict(action_repeat=7), ("horizon=600", "action_repeat=7", "try 602")),
        (dict(action_repeat=8), ("collision_check_every=60", "action_repeat=8", "try 64")),
        (dict(horizon=0), ("horizon=0", "at least 1")),
        (dict(num_envs=0), ("num_envs=0",)),
        (dict(ratio="often"), ("often", "evaluation")),
        (dict(ratio=-1.0), ("ratio=-1.0", "positive")),
        (dict(ratio=[]), ("ratio=[]", "positive")),
        (dict(ratio=[2.0, "x"]), ("'x'", "positive")),
    ],
)
def test_bad_arguments(arguments, words, refused):
    with refused(*words):
        CACC(**arguments)


def test_other_rules_do_not_mind_the_block():
    assert CACC(action_repeat=8, collision_rule="stop", seed=0).horizon == 75


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (torch.full((2, 3), 4), ("4", "out of range", "0 to 3")),
        (torch.full((2, 3), -1), ("-1", "out of range", "0 to 3")),
        (torch.zeros(2, 4).long(), ("(2, 4)", "(2, 3)")),
    ],
)
def test_bad_actions(action, words, refused):
    env = CACC(n_agents=3, num_envs=2, seed=0)
    td = env.reset()
    td["agents"].batch_size = [2]
    td["agents", "action"] = action
    with refused(*words):
        env._step(td)


def test_gains_of_a_linear_rule_are_named(refused):
    with refused("catchup", "catch-up"):
        Linear("catchup")
