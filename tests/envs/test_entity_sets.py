"""Sets of entities in the observations of TorchRL, PettingZoo and Gymnasium environments."""

import pickle

import numpy as np
import pytest
from gymnasium import spaces

from ilvf.envs import Gymnasium, PettingZoo, check_env
from ilvf.envs.flat import flattened
from ilvf.envs.own import own_env
from ilvf.errors import UsageError
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.modules.entity_sets import EntitySet
from ilvf.modules.images import Image
from set_helpers import Nearest, Others
from test_examples import load
from zoo import Line

Foragers = load("entity_sets").Foragers


def box(*shape):
    return spaces.Box(-1, 1, shape)


# ---------------------------------------------------------------------- spaces
def seen_by(space, value=None, **options):
    """A line of agents that observe samples of a space, or one value."""

    class Seeing(Line):
        def observation_space(self, agent):
            return space

        def observe(self, agents):
            _, infos = super().observe(agents)
            space.seed(self.steps)
            return {agent: space.sample() if value is None else value for agent in agents}, infos

    return PettingZoo(Seeing, num_envs=1, seed=0, **options)


NESTED = spaces.Tuple([box(2), spaces.Dict({"a": box(4, 3), "a_mask": spaces.MultiBinary(4)})])
OWN_AND_FLAGS = {"z": box(4, 3), "z_mask": spaces.MultiBinary(4), "own": box(2)}
TWO = {"b": box(1, 2), "b_mask": box(1), "a": box(4, 3), "a_mask": box(4)}
SETS = {  # space → (entities, features, begin, mask) of each set
    "a box": (spaces.Dict({"a": box(4, 3), "a_mask": box(4), "own": box(2)}), [(4, 3, 0, 12)]),
    "flags": (spaces.Dict(OWN_AND_FLAGS), [(4, 3, 2, 14)]),
    "two": (spaces.Dict(TWO), [(4, 3, 0, 12), (1, 2, 16, 18)]),
    "nested": (NESTED, [(4, 3, 2, 14)]),
    "none": (spaces.Dict({"a": box(4, 3), "own": box(2)}), []),
}


@pytest.mark.parametrize("name", SETS)
def test_sets_are_found_by_their_names(name):
    space, expected = SETS[name]
    env = seen_by(space)
    sets = tuple(EntitySet(*numbers) for numbers in expected)
    assert env.observation_sets == env.state_sets == sets
    space.seed(0)
    row = env.reset()["agents", "observation"][0, 0]
    assert row.tolist() == pytest.approx(spaces.flatten(space, space.sample()).tolist())


WRONG = {
    "another length": ({"a": box(4, 3), "a_mask": box(5)}, "'a' with the shape (4, 3)"),
    "no set": ({"a_mask": box(4), "b": box(4, 3)}, "has 'a_mask' and no 'a'"),
    "a vector": ({"a": box(4), "a_mask": box(4)}, "'a' with the shape (4,)"),
    "words": ({"a": spaces.Discrete(3), "a_mask": box(3)}, "'a' with the shape None"),
    "a table": ({"a": box(4, 3), "a_mask": box(4, 1)}, "'a_mask' with (4, 1)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_descriptions_are_refused_where_sets_are_asked_for(name, refused):
    parts, words = WRONG[name]
    space = spaces.Dict(parts)
    arguments = ["env=pettingzoo", "env.task=unused"]
    env = seen_by(space)
    env.reset()  # its numbers can be read as they are
    with refused("PettingZoo.observation_sets: the observation has", words):
        actor_for(env, arguments)


def actor_for(env, arguments):
    """The actor that a recipe with `sets=attention` makes for an environment."""
    from ilvf.algorithms.parts import categorical_actor

    config = resolve(training_schema("ippo"), [*arguments, "algorithm.sets=attention"])
    return categorical_actor(config.algorithm, env)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (
            3,
            "Nearest.observation_sets: parts must be an Image or an EntitySet, or several, found 3",
        ),
        ([Image(2, 2, 1)], "Nearest.observation_sets must be of EntitySet, found"),
        ([{"entities": 0, "features": 1}], "EntitySet: entities=0"),
        ([EntitySet(5, 2, begin=5, mask=1)], "number 5, which is in another part"),
        ((), "do not observe sets of entities"),
    ],
)
def test_an_attribute_that_describes_no_set_is_refused(sets, words, refused):
    env = Nearest(num_envs=1, seed=0)
    env.observation_sets = sets
    with refused(words):
        actor_for(env, ["env=torchrl", "env.task=unused"])


def test_a_team_without_common_sets_is_refused(refused):
    for task in ("env=encircle", "env=capture_prey"):
        with refused("algorithm.sets=attention", "do not observe sets", "leave it out"):
            build(resolve(training_schema("mappo"), [task, "algorithm.sets=attention"]))
    with refused("algorithm.heads=2 is for algorithm.sets=attention"):
        build(resolve(training_schema("mappo"), ["env=encircle", "algorithm.heads=2"]))


# ---------------------------------------------------------------------- sequences
SEQUENCE = spaces.Dict({"own": box(2), "others": spaces.Sequence(box(3))})
OWN = np.zeros(2, np.float32)


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("length", [0, 2, 4])
def test_a_sequence_is_padded_and_flagged(stack, length):
    vectors = [np.full(3, k + 1.0, np.float32) for k in range(length)]
    stacked = np.array(vectors, np.float32).reshape(length, 3)
    space = spaces.Dict({"own": box(2), "others": spaces.Sequence(box(3), stack=stack)})
    env = seen_by(space, {"own": OWN, "others": stacked if stack else tuple(vectors)}, entities=4)
    assert env.observation_sets == (EntitySet(4, 3, begin=0, mask=12),)
    assert pickle.loads(pickle.dumps(env.layout)).sets == env.observation_sets  # as workers do
    row = env.reset()["agents", "observation"][0, 0].tolist()
    numbers = [k + 1.0 for k in range(length) for _ in range(3)]
    assert row[:12] == numbers + [0.0] * (12 - len(numbers))
    assert row[12:16] == [1.0] * length + [0.0] * (4 - length)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (tuple([np.zeros(3)] * 5), "has 5 entities, and 4 are read at most; say entities=5"),
        (np.float32(3), "need a sequence of vectors"),
        ({}, "need a sequence of vectors"),
        ((np.zeros(2),), "others'][0] of ann has the shape (2,), need (3,)"),
        ((np.array([0, np.nan, 0]),), "NaN or infinite"),
    ],
)
def test_values_that_are_no_such_sequence_are_refused(others, words, refused):
    with refused(words):
        seen_by(SEQUENCE, {"own": OWN, "others": others}, entities=4).reset()


def test_a_sequence_of_other_things_is_refused(refused):
    with refused("does not flatten into numbers"):
        seen_by(spaces.Sequence(spaces.Discrete(3)))


# ---------------------------------------------------------------------- environments
def test_a_pettingzoo_environment_fits():
    env = PettingZoo(Foragers, num_envs=2, seed=0)
    assert "observation 42" in str(check_env(env))
    (berries,) = env.observation_sets
    row = env.rollout(5)["agents", "observation"]
    flags = row[..., berries.mask : berries.mask + 10]
    places = row[..., berries.begin : berries.begin + 30].unflatten(-1, (10, 3))
    assert len(flags.sum(-1).unique()) > 2
    assert not places[flags == 0].any()
    assert (places[flags == 1][:, :2].norm(dim=-1) < 0.8).all()


def test_a_gymnasium_environment_fits():
    env = Gymnasium("set_helpers:Crowd-v0", num_envs=2, seed=0, entities=5)
    assert "observation 16" in str(check_env(env))
    assert env.observation_sets == (EntitySet(5, 2, begin=0, mask=10),)


def test_parts_of_a_torchrl_environment_are_a_set():
    env = flattened(Others(num_envs=3, seed=0))
    assert env.observation_sets == (EntitySet(4, 2, begin=1, mask=9),)
    assert env.reset()["agents", "observation"].shape == (3, 2, 13)
    own = own_env("set_helpers:Others", {}, None, num_envs=2, seed=0)
    assert own.state_sets == own.observation_sets == env.observation_sets


def test_wrong_parts_of_a_torchrl_environment_are_an_error_if_asked_for(refused):
    own = own_env("set_helpers:Others", {"flags": 3}, None, num_envs=2, seed=0)
    assert isinstance(own.observation_sets, UsageError)
    with refused("'others' with the shape (4, 2) and 'others_mask' with (3,)"):
        actor_for(own, ["env=torchrl", "env.task=unused"])
