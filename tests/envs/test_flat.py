"""Observations that are not flat: of TorchRL, PettingZoo and Gymnasium environments."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from env_helpers import example
from helpers import assert_same_state, checkpointed, fit
from ilvf.checkpoints.policy import load_policy
from ilvf.data.evaluation import evaluate
from ilvf.envs import PettingZoo, check_env
from ilvf.envs.flat import flattened
from ilvf.envs.own import own_env
from ilvf.errors import UsageError
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.modules.images import Image
from image_helpers import SIDE, Lights
from pettingzoo_helpers import line_env

PICTURE = Image(SIDE, SIDE, 1, begin=1, largest=255.0)


# ---------------------------------------------------------------------- TorchRL
def test_parts_are_joined_in_the_order_of_their_names():
    env = Lights(num_envs=3, seed=0)
    seen = env.reset()["agents", "observation"]
    flat = flattened(Lights(num_envs=3, seed=0))
    row = flat.reset()["agents", "observation"]
    assert torch.equal(row[..., :1], seen["choice"])
    assert torch.equal(row[..., 1:], seen["picture"].flatten(2).float())
    assert flat.observation_image == PICTURE
    later = flat.rollout(3, break_when_any_done=False)
    assert later["next", "agents", "observation"].shape == (3, 3, 2, 37)
    assert "observation 37" in str(check_env(flat))


def test_a_single_picture_is_flattened():
    env = own_env("image_helpers:Lights", {"nested": False}, None, num_envs=2, seed=0)
    assert env.reset()["agents", "observation"].shape == (2, 2, 36)
    assert env.observation_image == env.state_image == Image(SIDE, SIDE, 1, largest=255.0)


def test_an_environment_with_flat_observations_is_left_alone():
    env = flattened(Lights(num_envs=2))
    assert flattened(env) is env


@pytest.mark.parametrize(
    ("nested", "words"),
    [(True, r"flattened\(env\) joins its parts"), (False, r"flattened\(env\) makes it so")],
)
def test_other_observations_are_refused_with_advice(nested, words):
    with pytest.raises(UsageError, match=words):
        check_env(Lights(num_envs=2, nested=nested))


def test_what_is_no_environment_is_refused(refused):
    with refused("flattened", "TorchRL environment"):
        flattened(3)


# ---------------------------------------------------------------------- PettingZoo
NESTED = spaces.Dict(
    {
        "b": spaces.Box(0, 255, (3, 4, 2), np.uint8),
        "a": spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2, 2))]),
    }
)
IMAGES = {  # space → (height, width, channels, begin, channels_first, largest), or None
    "height, width, channels": (spaces.Box(0, 255, (5, 4, 3), np.uint8), (5, 4, 3, 0, False, 255)),
    "channels first": (spaces.Box(0, 255, (3, 5, 4), np.uint8), (5, 4, 3, 0, True, 255)),
    "floats": (spaces.Box(0, 1, (7, 7, 3)), (7, 7, 3, 0, False, 1)),
    "grey": (spaces.Box(0, 255, (5, 4), np.uint8), (5, 4, 1, 0, False, 255)),
    "a table": (spaces.Box(0, 1, (5, 4)), None),
    "a vector": (spaces.Box(0, 255, (5,), np.uint8), None),
    "a part": (NESTED, (3, 4, 2, 7, False, 255)),
    "two": (spaces.Tuple([NESTED, NESTED]), None),
}


def seen_by(space):
    """A line of agents that observe samples of a space."""

    def make():
        from zoo import Line

        class Seeing(Line):
            def observation_space(self, agent):
                return space

            def observe(self, agents):
                _, infos = super().observe(agents)
                space.seed(self.steps)
                return {agent: space.sample() for agent in agents}, infos

        return Seeing()

    return PettingZoo(make, num_envs=1, seed=0)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_found_in_a_space(name):
    space, expected = IMAGES[name]
    env = seen_by(space)
    image = None if expected is None else Image(*expected)
    assert env.observation_image == env.state_image == image
    space.seed(0)
    value = space.sample()
    row = env.reset()["agents", "observation"][0, 0]
    assert row.tolist() == spaces.flatten(space, value).tolist()
    if name == "a part":
        part = row[7 : 7 + 24].unflatten(-1, image.shape)
        assert part.tolist() == value["b"].tolist()


def test_agents_that_see_different_things_have_no_common_image():
    assert line_env().observation_image is None


# ---------------------------------------------------------------------- learning
def configured(name):
    """An algorithm on `Lights`, of a size that learns in seconds."""
    sizes = ["num_envs=16", "rollout_steps=8", "epochs=4", "minibatches=1", "hidden=16"]
    sizes += ["lr=0.01", "gamma=0.5", "eval_every=1000", "images=cnn", "filters=8"]
    own = ["env=torchrl", "env.task=image_helpers:Lights", *(f"algorithm.{s}" for s in sizes)]
    torch.manual_seed(0)
    return build(resolve(training_schema(name), own))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ilvf_p", "ilvf_s", "ippo"])
def test_a_team_learns_from_pictures(name):
    """An untrained one gets 1/4 of the reward of 1 for an agent and step."""
    module = fit(configured(name), 30)
    env = flattened(Lights(num_envs=50, seed=1))
    metrics, _ = evaluate(env, module.loss.actor, max_steps=4, seed=1)
    assert metrics["reward/agent_step"] > 0.9


def test_a_checkpoint_keeps_the_convolutions(tmp_path):
    """Also a resumed run learns bit for bit what an uninterrupted one does."""

    _, whole = checkpointed(build_predators(), 3, tmp_path / "whole")
    path, _ = checkpointed(build_predators(), 2, tmp_path / "half")
    _, resumed = checkpointed(build_predators(), 3, tmp_path / "half", ckpt_path=path)
    assert_same_state(whole, resumed)
    policy = load_policy(path)
    assert policy.actor.read.image.filters == 4
    assert not torch.equal(policy.actor.read.features.weight, whole.loss.actor.read.features.weight)


def build_predators():
    sizes = ["num_envs=4", "rollout_steps=5", "epochs=1", "minibatches=1", "hidden=8", "filters=4"]
    torch.manual_seed(0)
    arguments = ["env=capture_prey", *(f"algorithm.{size}" for size in (*sizes, "images=cnn"))]
    return build(resolve(training_schema("ilvf_p"), arguments))


def test_options_of_images_are_refused_where_they_do_nothing(refused):
    with refused("algorithm.images=cnn", "Encircle", "leave it out"):
        build(resolve(training_schema("mappo"), ["env=encircle", "algorithm.images=cnn"]))
    with refused("algorithm.filters=4 is for algorithm.images=cnn"):
        build(resolve(training_schema("mappo"), ["env=encircle", "algorithm.filters=4"]))


def test_rows_of_other_numbers_become_those_of_the_networks():
    class Doubled(example("own_env").Rooms):
        def _make_specs(self):
            super()._make_specs()
            pair = self.observation_spec["agents"]
            pair["observation"] = pair["observation"].to(torch.float64)

        def _look(self):
            td = super()._look()
            td["agents", "observation"] = td["agents", "observation"].double()
            return td

    seen = flattened(Doubled(4, num_envs=2)).reset()["agents", "observation"]
    assert (seen.dtype, seen.shape) == (torch.float32, (2, 4, 2))
