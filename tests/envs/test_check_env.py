"""`check_env`: the contract of environments, on environments of other libraries and broken ones."""

import functools

import pytest
import torch
from mpe2 import simple_spread_v3
from torchrl.data import Bounded, Composite, OneHot, Unbounded
from torchrl.envs import GymEnv, PettingZooWrapper, SerialEnv

from env_helpers import example, vmas_navigation
from ilvf import Encircle, UsageError, check_env

Rooms = example("own_env").Rooms


def problems(env):
    """The lines that `check_env` raises, after the first one."""
    with pytest.raises(UsageError) as caught:
        check_env(env)
    first, *lines = str(caught.value).splitlines()
    assert "does not fit" in first
    return lines


def simple_spread():
    env = simple_spread_v3.parallel_env(max_cycles=10)
    group_map = {"agents": list(env.possible_agents)}
    return PettingZooWrapper(env, group_map=group_map, categorical_actions=True)


# ---------------------------------------------------------------------- environments that fit
@pytest.mark.parametrize(
    ("env", "sizes", "notes"),
    [
        (Encircle(4, num_envs=2, seed=0), (4, 18, 6, 5), []),
        (
            Rooms(6, num_envs=2),
            (6, 2, 2, 3),
            ["('agents', 'observation') has 2 numbers", "('agents', 'state') has 2 numbers"],
        ),
    ],
    ids=["encircle", "rooms"],
)
def test_a_complete_environment_has_notes_on_few_numbers_only(env, sizes, notes):
    facts = check_env(env)
    assert [note.partition(":")[0] for note in facts.notes] == notes
    assert (facts.n_agents, facts.observation_dim, facts.state_dim, facts.n_actions) == sizes
    assert facts.state_key == "state"
    assert str(facts).startswith("ok: ")


def test_missing_optional_parts_are_noted():
    """VMAS has no truncated (by default), no states, no horizon and no get_state."""
    facts = check_env(vmas_navigation(2))
    assert (facts.n_agents, facts.observation_dim, facts.n_actions) == (3, 18, 9)
    assert facts.state_key == "observation"
    starts = ("no 'truncated'", "no ('agents', 'state')", "no attribute horizon", "no get_state")
    for note, start in zip(facts.notes, starts, strict=False):
        assert note.startswith(start)
    assert len(facts.notes) >= len(starts)


def test_a_batch_of_pettingzoo_environments_fits():
    facts = check_env(SerialEnv(2, simple_spread))
    assert (facts.n_agents, facts.observation_dim, facts.n_actions) == (3, 18, 5)


# ---------------------------------------------------------------------- what a trial shows
class ChangedRooms(Rooms):
    """Rooms in which one entry of a step's result is changed."""

    def __init__(self, key, change):
        super().__init__(4, num_envs=2)
        self.key = key
        self.change = change

    def _step(self, tensordict):
        out = super()._step(tensordict)
        out[self.key] = self.change(out[self.key])
        return out


REWARD = ("agents", "reward")
OBSERVATION = ("agents", "observation")


def notes_beside_few_numbers(env):
    """The notes without those on the two numbers that an agent of `Rooms` observes."""
    return [note for note in check_env(env).notes if "without LayerNorm" not in note]


def test_nan_rewards_are_reported():
    lines = problems(ChangedRooms(REWARD, lambda reward: reward * float("nan")))
    assert lines == ["('next', 'agents', 'reward') has entries that are NaN or infinite"]


def test_infinite_observations_are_reported():
    lines = problems(ChangedRooms(OBSERVATION, lambda observation: observation / 0.0))
    assert len(lines) == 2
    assert all("observation" in line for line in lines)


def test_another_dtype_is_reported():
    lines = problems(ChangedRooms(OBSERVATION, torch.Tensor.double))
    assert any("torch.float64" in line and "networks" in line for line in lines)


def test_torchs_generator_repeats_in_the_trial():
    env = ChangedRooms(REWARD, lambda reward: reward + torch.rand(()))
    assert notes_beside_few_numbers(env) == []


def test_a_rollout_that_does_not_repeat_is_noted():
    numbers = iter(range(100))
    env = ChangedRooms(REWARD, lambda reward: reward + next(numbers))
    (note,) = notes_beside_few_numbers(env)
    assert "set_seed does not repeat" in note
    assert "reward" in note


STATE = ("agents", "state")


@pytest.mark.parametrize("key", [OBSERVATION, STATE], ids=["observation", "state"])
class TestNumbers:
    """`Rooms` has at most a few degrees; its step is changed, its reset is not."""

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
    def test_numbers_that_are_not_finite_are_reported_by_name(self, key, number):
        lines = problems(ChangedRooms(key, lambda x: torch.full_like(x, number)))
        expected = [f"{key} has entries that are NaN or infinite"]
        expected += [f"{('next', *key)} has entries that are NaN or infinite"]
        assert lines == expected

    @pytest.mark.parametrize("number", [2e6, -2e6, 1e30])
    def test_huge_numbers_are_noted_by_name(self, key, number):
        env = ChangedRooms(key, lambda x: torch.full_like(x, number))
        notes = notes_beside_few_numbers(env)
        assert [note.partition(" has")[0] for note in notes] == [str(key), str(("next", *key))]
        assert all(f"up to {abs(number):.2g}: scale them" in note for note in notes)

    def test_a_million_is_not_huge(self, key):
        env = ChangedRooms(key, lambda x: torch.full_like(x, 1e6))
        assert notes_beside_few_numbers(env) == []


def fails(env, *words):
    """`check_env` raises one sentence with these words."""
    with pytest.raises(UsageError) as caught:
        check_env(env)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize("error", [SystemExit(3), KeyError("key"), OSError()], ids=repr)
@pytest.mark.parametrize("method", ["_step", "_reset", "_set_seed", "get_state", "set_state"])
def test_an_environment_that_raises_in_a_method_is_reported(method, error):
    class Broken(Rooms):
        pass

    env = Broken(4, num_envs=2)

    def fail(self, *args):
        raise error

    setattr(Broken, method, fail)
    words = "get_state, set_state and reset" if "state" in method else "3 random steps"
    fails(env, f"Broken fails in {words}: {type(error).__name__}: ")


def test_ctrl_c_in_an_environment_passes():
    class Slow(Rooms):
        def _step(self, tensordict):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_env(Slow(4, num_envs=2))


def test_an_environment_that_raises_is_reported():
    class Broken(Rooms):
        def _step(self, tensordict):
            raise ValueError("the fan is stuck")

    with pytest.raises(UsageError) as caught:
        check_env(Broken(4, num_envs=2))
    assert str(caught.value) == "Broken fails in 3 random steps: ValueError: the fan is stuck"


# ---------------------------------------------------------------------- action masks
class MaskedRooms(Rooms):
    """Rooms with an action mask."""

    def __init__(self, mask):
        super().__init__(4, num_envs=2)
        self.mask = mask

    def _reset(self, tensordict=None):
        return self.with_mask(super()._reset(tensordict))

    def _step(self, tensordict):
        return self.with_mask(super()._step(tensordict))

    def with_mask(self, out):
        out["agents", "action_mask"] = self.mask.clone()
        return out


def test_the_trial_plays_possible_actions_only():
    class NoZero(MaskedRooms):
        def _step(self, tensordict):
            assert (tensordict["agents", "action"] > 0).all()
            return super()._step(tensordict)

    mask = torch.tensor([False, True, True]).expand(2, 4, 3)
    assert check_env(NoZero(mask)).masked


def test_a_mask_of_another_dtype_is_reported():
    lines = problems(MaskedRooms(torch.ones(2, 4, 3)))
    assert any("torch.float32" in line and "torch.bool" in line for line in lines)


def test_a_mask_of_another_width_is_reported():
    mask = torch.zeros(2, 4, 7, dtype=torch.bool)
    mask[..., 2] = True
    lines = problems(MaskedRooms(mask))
    assert any("action_mask" in line and "(2, 3, 4, 3)" in line for line in lines)


def test_a_mask_that_allows_nothing_is_reported():
    mask = torch.ones(2, 4, 3, dtype=torch.bool)
    mask[:, 1] = False
    assert "allows an agent nothing" in problems(MaskedRooms(mask))[0]


# ---------------------------------------------------------------------- saved states
def test_a_state_that_is_not_restored_is_reported():
    class Forgetful(Rooms):
        def set_state(self, state):
            pass

    assert "do not lead back" in problems(Forgetful(4, num_envs=2))[0]


def test_a_state_without_tensors_is_reported():
    class Vague(Rooms):
        def get_state(self):
            return {"a": 1}

    assert "['a']" in problems(Vague(4, num_envs=2))[0]


@pytest.mark.parametrize("state", [None, 3, [torch.zeros(2)]], ids=["None", "number", "list"])
def test_a_state_that_is_no_dict_is_reported(state):
    class Odd(Rooms):
        def get_state(self):
            return state

    kind = type(state).__name__
    assert problems(Odd(4, num_envs=2))[0].startswith(f"get_state gives a {kind}, need a dict")


# ---------------------------------------------------------------------- what the specs show
def test_a_single_environment_is_no_batch():
    (line,) = problems(simple_spread())
    assert "batch_size is ()" in line
    assert "SerialEnv" in line


def test_an_environment_without_a_group_of_agents_misses_three_keys():
    lines = problems(SerialEnv(2, functools.partial(GymEnv, "CartPole-v1")))
    assert len(lines) == 3
    text = " ".join(lines)
    for words in ("('agents', 'action')", "('agents', 'reward')", "observation"):
        assert words in text


def test_continuous_actions_fit():
    facts = check_env(vmas_navigation(2, continuous_actions=True))
    assert facts.actions.high.tolist() == [[1.0, 1.0]] * 3
    assert "3 agents, actions of 2 numbers" in str(facts)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Unbounded((2, 4, 3)), "is UnboundedContinuous"),
        (Bounded(-1, torch.inf, (2, 4, 3)), "not finite"),
        (Bounded(-1, 1, (2, 4)), "(num_envs, N, A)"),
        (Bounded(0, 3, (2, 4, 3), dtype=torch.int64), "of torch.int64"),
        (Bounded(-1, 1, (2, 4, 3), dtype=torch.float64), "of torch.float64"),
        (Bounded(torch.zeros(2, 4, 3), torch.ones(2, 4, 3).cumsum(0)), "other bounds"),
    ],
    ids=["unbounded", "infinite", "no numbers", "whole numbers", "double", "other bounds"],
)
def test_continuous_actions_that_no_actor_can_take_are_reported(spec, words):
    env = Rooms(4, num_envs=2)
    env.action_spec = Composite(agents=Composite(action=spec, shape=(2, 4)), shape=(2,))
    (line,) = problems(env)
    assert words in line


def test_one_hot_actions_are_reported():
    env = Rooms(4, num_envs=2)
    action = Composite(action=OneHot(3, (2, 4, 3)), shape=(2, 4))
    env.action_spec = Composite(agents=action, shape=(2,))
    assert "OneHot" in problems(env)[0]


def test_a_single_reward_is_reported():
    env = Rooms(4, num_envs=2)
    env.reward_spec = Composite(reward=Unbounded((2, 1)), shape=(2,))
    assert "one per agent" in problems(env)[0]


def test_something_else_is_no_environment(refused):
    with refused("int is no TorchRL environment"):
        check_env(3)


# ---------------------------------------------------------------------- episodes
def test_a_reset_of_one_that_changes_others_is_reported():
    class AllAtOnce(Rooms):
        def _reset(self, td=None):
            return super()._reset(None)

    (line,) = problems(AllAtOnce(4, num_envs=2))
    assert "environment 0 alone changes now, wanted of others" in line


def test_an_end_without_its_cause_is_reported():
    class Endless(Rooms):
        def _step(self, td):
            out = super()._step(td)
            out["terminated"] = torch.ones_like(out["terminated"])
            return out

    assert "('next', 'done') is another flag" in problems(Endless(4, num_envs=2))[0]
