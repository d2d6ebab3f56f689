"""The arguments and the picture of CACC."""

import pytest
import torch
from PIL import Image

from cacc_helpers import HOLD, platoon_before_collision
from ilvf.envs import CACC
from ilvf.envs.cacc.draw import headways_and_speeds
from ilvf.envs.cacc.physics import Targets
from ilvf.envs.cacc.rules import Constant
from ilvf.envs.pictures import first_episode


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(scenario="catchup"), ("catchup", "catch-up, slow-down")),
        (dict(collision_rule="never"), ("never", "pay_to_horizon")),
        (dict(n_agents=0), ("n_agents=0", "[1, 10000]")),
        (dict(collision_penalty=-1.0), ("collision_penalty=-1.0", "not negative")),
        (dict(soft_penalty=-5.0), ("soft_penalty=-5.0", "not negative")),
        (dict(collision_check_every=0), ("collision_check_every=0", "at least 1")),
        (dict(action_repeat=0), ("action_repeat=0", "at least 1")),
        (dict(action_repeat=7), ("horizon=600", "action_repeat=7", "try 602")),
        (dict(action_repeat=8), ("collision_check_every=60", "action_repeat=8", "try 64")),
        (dict(horizon=0), ("horizon=0", "at least 1")),
        (dict(num_envs=0), ("num_envs=0", "at least 1")),
        (dict(target_headway=1.0), ("target_headway=1.0", "(1, 1000]")),
        (dict(target_headway=float("nan")), ("target_headway=nan", "finite")),
        (dict(target_headway="far"), ("target_headway", "far")),
        (dict(target_speed=0.0), ("target_speed=0.0", "(0, 30]")),
        (dict(target_speed=31.0), ("target_speed=31.0", "(0, 30]")),
        (dict(ratio="often"), ("often", "evaluation")),
        (dict(ratio=-1.0), ("ratio=-1.0", "positive")),
        (dict(ratio=[]), ("ratio=[]", "positive")),
        (dict(ratio=[2.0, "x"]), ("'x'", "positive")),
        (dict(colision_rule="stop"), ("colision_rule", "did you mean 'collision_rule'")),
    ],
)
def test_wrong_arguments_are_refused(arguments, words, refused):
    with refused(*words):
        CACC(**arguments)


def test_only_the_rule_reference_needs_whole_blocks():
    assert CACC(action_repeat=8, collision_rule="stop", seed=0).horizon == 75


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (torch.full((2, 3), 4), ("action 4", "out of range", "0 to 3")),
        (torch.full((2, 3), -1), ("action -1", "out of range", "0 to 3")),
        (torch.zeros(2, 4).long(), ("(2, 4)", "(2, 3)")),
    ],
)
def test_wrong_actions_are_refused(action, words, refused):
    env = CACC(n_agents=3, num_envs=2, seed=0)
    td = env.reset()
    td["agents"].batch_size = [2]  # allows an action for another number of agents
    td["agents", "action"] = action
    with refused(*words):
        env.step(td)


# ---------------------------------------------------------------------- picture
@pytest.mark.parametrize("repeat", [1, 5])
def test_draw_shows_the_first_episode(tmp_path, repeat):
    env = CACC("slow-down", 3, horizon=60, action_repeat=repeat, num_envs=2, seed=0)
    rollout = env.rollout(100 // repeat, break_when_any_done=False)
    figure = env.draw(rollout, index=1)
    upper, lower = figure.axes
    time, headway = upper.lines[0].get_data()
    assert len(upper.lines) == 3 + 2  # vehicles, wanted headway, collision
    assert len(lower.lines) == 3 + 2  # vehicles, lead, wanted speed
    assert time[-1] == pytest.approx(6.0)
    assert len(headway) == 60 // repeat + 1
    figure.savefig(tmp_path / "picture", format="png")
    assert (tmp_path / "picture").stat().st_size > 10_000
    env.animate(rollout, tmp_path / "episode.gif", index=1)
    with Image.open(tmp_path / "episode.gif") as animation:
        assert animation.n_frames == min(60, 60 // repeat + 1)


def test_draw_shows_the_present_world():
    env = CACC("slow-down", 3, num_envs=2, seed=0)
    env.reset()
    (headway,) = env.draw(index=1).axes[0].lines[0].get_ydata()
    assert headway == pytest.approx(20)


def test_headways_and_speeds_are_worked_back_from_the_states():
    targets = Targets(22.0, 14.0)
    wanted = {"target_headway": targets.headway, "target_speed": targets.speed}
    env = CACC("catch-up", 4, num_envs=2, seed=3, **wanted)
    td = env.reset()
    worlds = []

    def act(td):
        worlds.append(env.world)
        return env.rand_action(td)

    frames = env.rollout(30, act, auto_reset=False, tensordict=td)[1]
    worlds.append(env.world)
    state = first_episode(frames, ("agents", "state"))
    headway, speed = headways_and_speeds(state, first_episode(frames, "lead_speed"), targets)
    true_headway = torch.stack([world["headway"][1] for world in worlds])
    true_speed = torch.stack([world["speed"][1] for world in worlds])
    assert torch.allclose(headway.double(), true_headway, atol=1e-4)
    assert torch.allclose(speed.double(), true_speed, atol=1e-5)


def test_the_title_says_when_a_collision_was():
    env, td = platoon_before_collision(after=7)
    rollout = env.rollout(20, Constant(HOLD), auto_reset=False, tensordict=td)
    assert env.draw(rollout).axes[0].get_title() == "collision after 0.7 s"


def test_without_a_collision_there_is_no_title():
    env = CACC(seed=0)
    rollout = env.rollout(20, Constant(HOLD))
    assert not env.draw(rollout).axes[0].get_title()
