"""`check_env`: does an environment satisfy the contract that the algorithms need?"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from ilvf.envs.contract import (
    batch_problems,
    flag_problems,
    missing_problems,
    number_keys,
    number_problems,
    partial_reset_problems,
    saved_state_problems,
    shape_problems,
    spec_problems,
)
from ilvf.envs.wrapped import saves_states
from ilvf.errors import UsageError, require
from ilvf.modules.actions import Actions, actions_of
from ilvf.modules.agent_nets import LEAST_NORMALIZED

STEPS = 3  # of the trial rollout
HUGE = 1e6  # larger numbers lose digits in float32 and are far from what networks read well


@dataclass(frozen=True)
class EnvFacts:
    """Sizes of an environment, which actors and critics are built with, and what it lacks.

    Attributes:
        n_agents: N.
        observation_dim: numbers that an agent observes.
        state_dim: numbers under `state_key`.
        actions: what the agents can do; actors and critics take it.
        state_key: `state`, or `observation` for an environment without states; the argument of
            `ILVFP`, `value_module` and `ActionValueLoss`.
        masked: the environment has action masks.
        notes: one sentence for each optional part that is missing.
    """

    n_agents: int
    observation_dim: int
    state_dim: int
    actions: Actions
    state_key: str
    masked: bool
    notes: tuple[str, ...]

    @property
    def n_actions(self) -> int:
        """A, the number of discrete actions, or of the numbers that stand for an action."""
        return self.actions.width

    def __str__(self) -> str:
        mask = ", action mask" if self.masked else ""
        sizes = (
            f"{self.n_agents} agents, {self.actions}, "
            f"observation {self.observation_dim}, "
            f"critics see {self.state_key} {self.state_dim}{mask}"
        )
        return "\n".join([f"ok: {sizes}", *(f"note: {note}" for note in self.notes)])


def check_env(env: EnvBase, group: str = "agents") -> EnvFacts:
    """Check an environment against the contract in docs/guides/your_own_env.md.

    Reads the specs, then plays three random steps, twice from the same seed. The environment is
    reseeded and stepped.

    Args:
        env: any TorchRL environment.
        group: name of the agents' group.

    Returns:
        The sizes of the environment, and notes on optional parts that it lacks.

    Raises:
        UsageError: the environment violates the contract; one sentence a line for each violation.
    """
    require(
        isinstance(env, EnvBase),
        f"{type(env).__name__} is no TorchRL environment; wrap it, or use EnvBase",
    )
    name = type(env).__name__
    with _named_failures(f"{name} fails while its specs are read"):
        problems = list(batch_problems(env)) or list(spec_problems(env, group))
    _raise(problems, name)
    with _named_failures(f"{name} fails in {STEPS} random steps"):
        trial = _trial(env, group)
    _raise(list(missing_problems(trial, group)), name)
    problems += shape_problems(env, trial, group)
    problems += number_problems(trial, group, actions_of(env, group))
    problems += flag_problems(trial)
    with _named_failures(f"{name} fails in get_state, set_state and reset"):
        problems += saved_state_problems(env, group)
        if not problems:
            problems += partial_reset_problems(env)
    _raise(problems, name)
    with _named_failures(f"{name} fails in {STEPS} random steps from the same seed"):
        return _facts(env, trial, group)


def _raise(problems: list[str], name: str) -> None:
    if problems:
        raise UsageError("\n".join([f"{name} does not fit:", *problems]))


@contextlib.contextmanager
def _named_failures(what: str) -> Iterator[None]:
    """Turn what an environment raises, `SystemExit` included, into one sentence."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, UsageError):
        raise
    except BaseException as error:  # environments raise anything
        reason = str(error).strip().splitlines() or [""]
        raise UsageError(f"{what}: {type(error).__name__}: {reason[0]:.200}") from error


def _trial(env: EnvBase, group: str) -> TensorDictBase:
    """A rollout of random possible actions from a fixed seed."""
    actions = actions_of(env, group)

    def act(td: TensorDictBase) -> TensorDictBase:
        td = env.rand_action(td)
        action = td[group, "action"]
        mask = td.get((group, "action_mask"), None)
        agents = action.shape[: action.ndim - len(actions.event)]
        if mask is not None and mask.dtype == torch.bool and mask.shape == (*agents, actions.width):
            td.set((group, "action"), actions.random(mask, mask))
        return td

    with torch.random.fork_rng():
        torch.manual_seed(0)
        env.set_seed(0)
        return env.rollout(STEPS, act, break_when_any_done=False)


def _facts(env: EnvBase, td: TensorDictBase, group: str) -> EnvFacts:
    """The sizes that a trial shows, and the notes."""
    keys = td.keys(True)
    state_key = "state" if (group, "state") in keys else "observation"
    observation = td[group, "observation"]
    return EnvFacts(
        n_agents=observation.shape[-2],
        observation_dim=observation.shape[-1],
        state_dim=td[group, state_key].shape[-1],
        actions=actions_of(env, group),
        state_key=state_key,
        masked=(group, "action_mask") in keys,
        notes=tuple(_notes(env, td, group)),
    )


def _notes(env: EnvBase, td: TensorDictBase, group: str) -> Iterator[str]:
    """What is optional and missing, and what follows from that."""
    if "truncated" not in env.done_keys:
        yield (
            "no 'truncated': an episode that the clock ends counts as over, "
            "and its last value is not bootstrapped"
        )
    if (group, "state") not in td.keys(True):
        yield f"no {(group, 'state')}: critics read the observations"
    yield from _number_notes(td, group)
    if not hasattr(env, "horizon"):
        yield "no attribute horizon: tell evaluations how long an episode lasts, eval_steps="
    if not saves_states(env):
        yield (
            "no get_state and set_state: a resumed run begins new episodes, "
            "and there can be no audit"
        )
    yield from _repetition_notes(env, td, group)


def _number_notes(td: TensorDictBase, group: str) -> Iterator[str]:
    """Numbers that networks read badly: very few, or huge."""
    for name in ("observation", "state"):
        value = td.get((group, name), None)
        if value is not None and value.shape[-1] < LEAST_NORMALIZED:
            yield (
                f"{(group, name)} has {value.shape[-1]} numbers: networks read fewer than "
                f"{LEAST_NORMALIZED} without LayerNorm, so they should be of order 1"
            )
    for key in number_keys(group):
        value = td.get(key, None)
        largest = 0.0 if value is None or not value.numel() else value.abs().max().item()
        if largest > HUGE:
            yield f"{key} has numbers of up to {largest:.2g}: scale them to order 1"


def _repetition_notes(env: EnvBase, td: TensorDictBase, group: str) -> Iterator[str]:
    """Does the same seed give the same rollout?"""
    again = _trial(env, group)
    for key in (
        (group, "observation"),
        (group, "state"),
        ("next", group, "reward"),
        ("next", "done"),
    ):
        if td.get(key, None) is not None and not torch.equal(td[key], again[key]):
            yield (
                f"set_seed does not repeat a rollout, {key} differs: "
                "runs cannot be repeated exactly"
            )
            return
