"""States of road networks: an episode that goes on from one is the same, number by number."""

import time
from contextlib import closing

import pytest
import torch

import traffic_nets
from ilvf import check_env
from ilvf.analysis import intervene, visited_states
from ilvf.envs.traffic import SumoTrafficEnv, Traffic
from ilvf.modules import CategoricalActor
from traffic_helpers import CHECKS, PAUSE, play, play_on, same, simulators

BEFORE = 12  # steps until the state
AFTER = 12
SETTINGS = dict(num_envs=2, seed=3, seconds=200, lane_noise=True)


def actions_of(env, t):
    """Phases that depend on time and signal, `[B, N]`."""
    phases = torch.tensor([len(signal.phases) for signal in env.network.signals])
    return ((t + torch.arange(env.n_agents)) % phases).expand(*env.batch_size, -1)


def go_on(env, td, first, last):
    """All that an episode shows from step `first` to `last`."""
    frames = []
    for t in range(first, last):
        frame, td = env.step_and_maybe_reset(td.set(("agents", "action"), actions_of(env, t)))
        frames.append(frame["next"])
    return torch.stack(frames, 1), td


def goes_on_as(env, state, expected):
    """Whether an episode from a state is the expected one."""
    env.set_state(state)
    found, _ = go_on(env, env.reset(), BEFORE, BEFORE + AFTER)
    return bool((found == expected).all())


@pytest.fixture(scope="module")
def original(town):
    """A state, and the episode after it: saved on the way, and never restored."""
    with closing(Traffic(*town, **SETTINGS)) as env:
        _, td = go_on(env, env.reset(), 0, BEFORE)
        state = env.get_state()
        after, _ = go_on(env, td, BEFORE, BEFORE + AFTER)
        return state, after


@pytest.fixture
def env(town):
    before = simulators()
    with closing(Traffic(*town, **SETTINGS)) as made:
        yield made
    assert not simulators(besides=before)


def with_generator(state, seed):
    """A state with another generator."""
    return {**state, "rng": torch.Generator().manual_seed(seed).get_state()}


def test_contract(env):
    assert not check_env(env).notes


def test_saving_does_not_change_the_episode(town, original):
    with closing(Traffic(*town, **SETTINGS)) as env:
        _, td = go_on(env, env.reset(), 0, BEFORE)
        after, _ = go_on(env, td, BEFORE, BEFORE + AFTER)
        assert (after == original[1]).all()


def test_branches_equal_the_original(env, original):
    """The second one is a fork of the same simulator, which must not have moved."""
    state, after = original
    assert after["agents", "reward"].any()
    assert goes_on_as(env, state, after)
    assert goes_on_as(env, state, after)


def test_branches_leave_the_episode_alone_that_they_start_from(town, env, original):
    with closing(Traffic(*town, **SETTINGS)) as first:
        _, td = go_on(first, first.reset(), 0, BEFORE)
        state = first.get_state()
        assert goes_on_as(env, state, original[1])
        after, _ = go_on(first, td, BEFORE, BEFORE + AFTER)
        assert (after == original[1]).all()


def test_copies_can_change_places(env, original):
    state, after = original
    swapped = {name: x if name == "rng" else x.flip(0) for name, x in state.items()}
    assert goes_on_as(env, swapped, after.flip(0))


def test_next_episodes_are_the_same(env, original):
    """The seeds of later episodes follow from that of the restored one."""
    state, _ = original
    env.set_state(state)
    found, _ = go_on(env, env.reset(), BEFORE, 45)
    env.set_seed(SETTINGS["seed"])
    expected, _ = go_on(env, env.reset(), 0, 45)
    assert expected["truncated"][:, 39].all()
    assert (found == expected[:, BEFORE:]).all()


def test_noise_follows_the_generator(env, original):
    state, after = original
    env.set_state(with_generator(state, 7))
    first, _ = go_on(env, env.reset(), BEFORE, BEFORE + AFTER)
    assert not torch.equal(first["agents", "reward"], after["agents", "reward"])
    assert goes_on_as(env, with_generator(state, 7), first)
    assert not goes_on_as(env, with_generator(state, 8), first)
    assert goes_on_as(env, {k: x for k, x in state.items() if k != "rng"}, after)


def test_a_state_of_a_branch_with_new_noise(env, original):
    """It goes through the change of noise again."""
    env.set_state(with_generator(original[0], 7))
    _, td = go_on(env, env.reset(), BEFORE, BEFORE + 3)
    state = env.get_state()
    expected, _ = go_on(env, td, BEFORE, BEFORE + AFTER)
    assert goes_on_as(env, state, expected)


def test_a_change_does_not_reach_far_signals_at_once(env, original):
    """With the noise of its lanes alone, only the changed signal and its surroundings differ."""
    state, _ = original

    def rewards(first):
        env.set_state(with_generator(state, 7))
        frame = env.step(env.reset().set(("agents", "action"), first))
        return frame["next", "agents", "reward"][..., 0]

    actions = actions_of(env, BEFORE)
    before = rewards(actions)
    near = env.neighbours | torch.eye(env.n_agents).bool()
    changed = torch.zeros(env.n_agents, dtype=torch.bool)
    for i, phases in enumerate(len(signal.phases) for signal in env.network.signals):
        other = actions.clone()
        other[:, i] = (other[:, i] + 1) % phases
        differs = (rewards(other) != before).any(0)
        assert not (differs & ~near[i]).any()
        changed |= differs
    assert changed.any()


def test_clock_at_zero(env, original):
    """A whole episode follows, and its statistics begin."""
    state = dict(original[0])
    state["step"] = torch.zeros(2, dtype=torch.long)
    env.set_state(state)
    found, _ = go_on(env, env.reset(), BEFORE, BEFORE + 40)
    assert found["truncated"].flatten(1).sum(1).tolist() == [1, 1]
    assert found["truncated"][:, 39].all()
    same_rewards = found["agents", "reward"][:, :AFTER] == original[1]["agents", "reward"]
    assert same_rewards.all()


def test_killed_waiting_simulator_is_replaced(env, original):
    state, after = original
    env.set_state(state)
    env.reset()
    moments = env.copies.save()
    running = [copy.simulation.pid for copy in env.copies.envs]
    waiting = [process for process in simulators() if process.pid not in running]
    assert len(waiting) == 2
    for process in waiting:
        process.kill()
    freezer = env.copies.envs[0].track.freezer
    for _ in range(CHECKS):
        if not any(freezer.has(moment.way) for moment in moments):
            break
        time.sleep(PAUSE)
    assert goes_on_as(env, state, after)


@pytest.mark.slow
def test_copies_in_workers_have_the_same_states(town, original):
    with closing(Traffic(*town, **SETTINGS, workers=2)) as env:
        _, _ = go_on(env, env.reset(), 0, BEFORE)
        state = env.get_state()
        assert all(torch.equal(state[name], x) for name, x in original[0].items())
        assert goes_on_as(env, state, original[1])


@pytest.mark.slow
def test_simulator_that_cannot_be_forked_plays_again(town, original, refused):
    """SUMO as a separate program: exact, but its generators cannot be seeded."""
    state, after = original
    with closing(Traffic(*town, **SETTINGS, simulator="traci")) as env:
        assert goes_on_as(env, state, after)
        env.set_state(with_generator(state, 7))
        with refused("cannot be restored", "cannot be seeded", "simulator=libsumo"):
            env.reset()


# ---------------------------------------------------------------------- files
def test_forks_read_routes_on_their_own(tiny, tmp_path):
    """SUMO reads vehicles while it simulates; forks must not take them from each other."""
    routes = traffic_nets.write_routes(tmp_path / "many.rou.xml", many_vehicles(200))
    with closing(SumoTrafficEnv(tiny, routes, seconds=10**4)) as env:
        play(env, 5, seed=0)
        moment = env.save()
        expected = play_on(env, 200)
        for _ in range(2):
            env.restore(moment)
            assert same(play_on(env, 200), expected)
        assert env.episode_statistics()["throughput"] > 50


def many_vehicles(number):
    """One vehicle in five seconds, with a name of 12 kB: SUMO reads 1 MB at a time."""
    way = 'from="a_J1" to="J3_b"'
    return [f'<trip id="{k:012000d}" depart="{5 * k}" {way}/>' for k in range(number)]


def test_no_trips_are_written(town, tmp_path):
    """The file of the episode stays as it was."""
    with closing(SumoTrafficEnv(*town, seconds=300, tripinfo=str(tmp_path))) as env:
        play(env, 60, seed=0)
        env.reset(seed=1)
        play_on(env, 30)
        (finished,) = tmp_path.glob("tripinfo-0.xml")
        trips = finished.read_text()
        moment = env.save()
        env.restore(moment)
        play_on(env, 10)
        assert finished.read_text() == trips
        play(env, 2, seed=2)
        assert sorted(file.name for file in tmp_path.iterdir()) == [
            f"tripinfo-{seed}.xml" for seed in range(3)
        ]


# ---------------------------------------------------------------------- wrong states
WRONG = {
    "copies": (lambda s: {k: x if k == "rng" else x[:1] for k, x in s.items()}, "has 2"),
    "entries": (lambda s: {"step": s["step"]}, "lacks seed, played, phases, noise"),
    "signals": (lambda s: {**s, "phases": s["phases"][..., 1:]}, "these 7 signals"),
    "phases": (lambda s: {**s, "phases": s["phases"] + 9}, "these 7 signals"),
    "played": (lambda s: {**s, "played": s["played"] + 99}, "these 7 signals"),
    "generator": (lambda s: {**s, "rng": s["rng"][:16]}, "16 bytes"),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
def test_wrong_states(env, original, refused, change, words):
    with refused("the saved state", words):
        env.set_state(change(original[0]))


def test_state_before_the_first_reset(town, refused):
    with (
        closing(Traffic(*town, **SETTINGS)) as env,
        refused("no state to save before the first reset"),
    ):
        env.get_state()


# ---------------------------------------------------------------------- interventions
def test_interventions(env):
    """Rows of one state and joint action have different noise, and an action moves something."""
    torch.manual_seed(0)
    actor = CategoricalActor(
        env.n_agents, env.observation_dim, env.n_actions, hidden=8, masked=True
    )
    states = visited_states(env, actor, steps=20)
    found = intervene(env, actor, states, actions=2, repeats=2, steps=4, progress=False)
    assert found.effect.shape == (2, 2, 2, 7, env.n_actions, 7)
    assert found.effect.any()
    impossible = (found.policy == 0)[:, None, None, :, :, None].expand_as(found.effect)
    assert impossible.any()
    assert not found.effect[impossible].any()
