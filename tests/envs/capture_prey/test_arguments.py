"""The arguments and pictures of Predator Capture Prey."""

import pytest
import torch
from PIL import Image

from ilvf.envs import CapturePrey
from prey_helpers import STAY


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(n_perception=-1), ("n_perception=-1", "not negative")),
        (dict(n_action=2.5), ("n_action=2.5", "whole number")),
        (dict(n_perception=0, n_action=0), ("no agents",)),
        (dict(n_prey=0), ("n_prey=0", "at least 1")),
        (dict(dim=1), ("dim=1", "at least 2")),
        (dict(dim=2), ("dim=2", "4 cells", "9")),
        (dict(vision=-1), ("vision=-1", "not negative")),
        (dict(action_vision=3), ("action_vision=3", "vision=2")),
        (dict(action_vision=-2), ("action_vision=-2", "at least -1")),
        (dict(leak=True, action_vision=1), ("leak=True", "action_vision=-1")),
        (dict(leak=1), ("leak=1", "true or false")),
        (dict(mode="mixd"), ("mode='mixd'", "mixed, cooperative, competitive")),
        (dict(prey_policy="flee"), ("prey_policy='flee'", "fixed, random")),
        (dict(encoding="onehot"), ("encoding='onehot'", "compact, reference")),
        (dict(graph="ring"), ("graph='ring'", "paired")),
        (dict(graph=torch.ones(3, 8)), ("(3, 8)", "(8, 8)", "row = receiver")),
        (dict(graph=[[1, 0], [1]]), ("graph", "8×8")),
        (dict(graph=torch.full((8, 8), 0.5)), ("True and False",)),
        (dict(horizon=0), ("horizon=0", "at least 1")),
        (dict(visoin=1), ("visoin", "did you mean 'vision'")),
    ],
)
def test_wrong_arguments_are_refused(arguments, words, refused):
    with refused(*words):
        CapturePrey(**arguments)


@pytest.mark.parametrize("action", [-1, 6])
def test_wrong_actions_are_refused(action, refused):
    env = CapturePrey(num_envs=3, seed=0)
    td = env.reset()
    td["agents", "action"] = torch.full((3, 8), STAY)
    td["agents", "action"][1, 2] = action
    with refused(f"action {action}", "0 to 5"):
        env.step(td)


@pytest.mark.parametrize(
    "options", [{}, dict(n_prey=2, prey_policy="random", encoding="reference", graph="none")]
)
def test_pictures_show_the_first_episode(options, tmp_path):
    """An episode of three steps: four frames."""
    env = CapturePrey(2, 2, 5, vision=1, horizon=3, num_envs=2, seed=0, **options)
    rollout = env.rollout(5, break_when_any_done=False)
    now = env.draw()
    paths = env.draw(rollout, index=1)
    assert "step 0" in now.texts[0].get_text()
    assert "step 3" in paths.texts[0].get_text()
    for figure in (now, paths):
        figure.savefig(tmp_path / "picture", format="png")
        assert (tmp_path / "picture").stat().st_size > 5000
    env.animate(rollout, tmp_path / "episode.gif", index=1)
    with Image.open(tmp_path / "episode.gif") as animation:
        assert animation.n_frames == 4
