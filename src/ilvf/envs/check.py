"""`check_env`: does an environment speak the library's language?  One sentence a line for what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torchrl.data import Categorical
from torchrl.envs import EnvBase

from ilvf.errors import UsageError, require

STEPS = 3  # of the trial


@dataclass(frozen=True)
class EnvFacts:
    """What a fitting environment is: the sizes that actors and critics are built with, and what could be better.

    `state_key` is `state`, or `observation` for an environment without states: pass it to `ILVFP`, `value_module` and
    `ActionValueLoss`. `notes` are sentences about what is optional and absent.
    """

    n_agents: int
    observation_dim: int
    state_dim: int
    n_actions: int
    state_key: str
    masked: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        sizes = (
            f"{self.n_agents} agents, {self.n_actions} actions, observation {self.observation_dim}, critics see "
            f"{self.state_key} {self.state_dim}{', action mask' if self.masked else ''}"
        )
        return "\n".join([f"ok: {sizes}", *(f"note: {n}" for n in self.notes)])


def check_env(env: EnvBase, group: str = "agents") -> EnvFacts:
    """The facts of an environment that the algorithms of this library can run; the contract is docs/your_own_env.md.

    Looks at the specs, then plays three random steps, twice from the same seed: the environment is reseeded and moved.

    Raises:
        UsageError: everything that does not fit, one sentence a line.
    """
    require(
        isinstance(env, EnvBase),
        f"{type(env).__name__} is no TorchRL environment; wrap it, or use EnvBase",
    )
    problems = list(_batch(env)) or list(_specs(env, group))
    if not problems:
        first = _trial(env, group)
        problems = [*_shapes(env, first, group), *_numbers(first, group), *_states(env, group)]
    if problems:
        raise UsageError("\n".join([f"{type(env).__name__} does not fit:", *problems]))
    return _facts(env, first, group)


def _trial(env: EnvBase, group: str) -> TensorDictBase:
    """Random steps, of allowed actions where there is a mask, from a fixed seed."""

    def act(td: TensorDictBase) -> TensorDictBase:
        td = env.rand_action(td)
        mask = td.get((group, "action_mask"), None)
        if mask is not None and mask.dtype == torch.bool:
            noise = torch.rand(mask.shape, device=mask.device)
            td.set((group, "action"), noise.masked_fill(~mask, -1).argmax(-1))
        return td

    with torch.random.fork_rng():
        torch.manual_seed(0)
        try:
            env.set_seed(0)
            return env.rollout(STEPS, act, break_when_any_done=False)
        except Exception as error:  # whatever an environment can raise
            reason = str(error).strip().splitlines() or [""]
            raise UsageError(
                f"{type(env).__name__} fails in {STEPS} random steps: {type(error).__name__}: {reason[0]:.200}"
            ) from error


# ---------------------------------------------------------------------- what is wrong
def _batch(env: EnvBase) -> Iterator[str]:
    if len(env.batch_size) != 1:
        yield (
            f"batch_size is {tuple(env.batch_size)}, need (num_envs,): several environments side by side, for example "
            "by torchrl.envs.SerialEnv(num_envs, make_one)"
        )


def _specs(env: EnvBase, group: str) -> Iterator[str]:
    action, reward = (group, "action"), (group, "reward")
    if action not in env.action_keys:
        yield f"the action is {_listed(env.action_keys)}, need {action}: all agents in one group called {group!r}"
    else:
        spec = env.full_action_spec[action]
        if not isinstance(spec, Categorical):
            yield f"{action} is {type(spec).__name__}, need Categorical: indices of discrete actions, int64"
        elif len(spec.shape) != 2:
            yield f"{action} has shape {tuple(spec.shape)}, need (num_envs, N): one index per agent"
    if reward not in env.reward_keys:
        yield f"the reward is {_listed(env.reward_keys)}, need {reward}: one per agent, whose sum is the team's"
    for key in ("done", "terminated"):
        if key not in env.done_keys:
            yield f"{key!r} is missing at the root, need (num_envs, 1) bool: the end of the whole team's episode"
    if (group, "observation") not in env.observation_keys:
        yield f"{(group, 'observation')} is missing; the observations are {_listed(env.observation_keys)}"


def _shapes(env: EnvBase, td: TensorDictBase, group: str) -> Iterator[str]:
    batch = tuple(td.batch_size)
    n = td[group, "action"].shape[-1]
    a = int(env.full_action_spec[group, "action"].space.n)
    need: dict[NestedKey, tuple[object, ...]] = {
        (group, "observation"): (*batch, n, "Do"),
        (group, "state"): (*batch, n, "D"),
        (group, "action_mask"): (*batch, n, a),
        ("next", group, "reward"): (*batch, n, 1),
        ("next", "done"): (*batch, 1),
        ("next", "terminated"): (*batch, 1),
    }
    for key, shape in need.items():
        value = td.get(key, None)
        if value is not None and not _fits(tuple(value.shape), shape):
            wanted = f"({', '.join(map(str, shape))})"
            yield f"{key} has shape {tuple(value.shape)} in a rollout of {batch}, need {wanted}"


def _numbers(td: TensorDictBase, group: str) -> Iterator[str]:
    for key in (
        (group, "observation"),
        (group, "state"),
        ("next", group, "observation"),
        ("next", group, "reward"),
    ):
        value = td.get(key, None)
        if value is not None and value.dtype != torch.get_default_dtype():
            yield f"{key} is {value.dtype}, need {torch.get_default_dtype()}, the dtype of the networks"
        elif value is not None and not torch.isfinite(value).all():
            yield f"{key} has entries that are NaN or infinite"
    mask = td.get((group, "action_mask"), None)
    if mask is not None and mask.dtype != torch.bool:
        yield f"{(group, 'action_mask')} is {mask.dtype}, need torch.bool: True = allowed"


def _states(env: EnvBase, group: str) -> Iterator[str]:
    """What is wrong with `get_state` and `set_state`, if there are any."""
    if not (hasattr(env, "get_state") and hasattr(env, "set_state")):
        return
    before = env.reset().get((group, "observation"))
    state = env.get_state()
    wrong = [
        k
        for k, v in state.items()
        if k != "rng" and tuple(getattr(v, "shape", ()))[:1] != tuple(env.batch_size)
    ]
    if wrong or "rng" not in state:
        yield f"get_state gives {sorted(state)}, need tensors (num_envs, ...), and the generator's state as 'rng'"
        return
    env.reset()
    env.set_state(state)
    if not torch.equal(env.reset().get((group, "observation")), before):
        yield "set_state(get_state()) and reset() do not lead back to the same observations"


# ---------------------------------------------------------------------- what it is
def _facts(env: EnvBase, td: TensorDictBase, group: str) -> EnvFacts:
    state_key = "state" if (group, "state") in td.keys(True) else "observation"
    masked = (group, "action_mask") in td.keys(True)
    observation, state = td[group, "observation"], td[group, state_key]
    return EnvFacts(
        n_agents=observation.shape[-2],
        observation_dim=observation.shape[-1],
        state_dim=state.shape[-1],
        n_actions=int(env.full_action_spec[group, "action"].space.n),
        state_key=state_key,
        masked=masked,
        notes=tuple(_notes(env, td, group)),
    )


def _notes(env: EnvBase, td: TensorDictBase, group: str) -> Iterator[str]:
    if "truncated" not in env.done_keys:
        yield "no 'truncated': an episode that the clock ends counts as over, and its last value is not bootstrapped"
    if (group, "state") not in td.keys(True):
        yield f"no {(group, 'state')}: critics read the observations"
    if not hasattr(env, "horizon"):
        yield "no attribute horizon: tell evaluations how long an episode lasts, eval_steps="
    if not hasattr(env, "get_state") or not hasattr(env, "set_state"):
        yield "no get_state and set_state: a resumed run begins new episodes, and there can be no audit"
    again = _trial(env, group)
    for key in (
        (group, "observation"),
        (group, "state"),
        ("next", group, "reward"),
        ("next", "done"),
    ):
        if td.get(key, None) is not None and not torch.equal(td[key], again[key]):
            yield f"set_seed does not repeat a rollout, {key} differs: runs cannot be repeated exactly"
            return


def _fits(found: tuple[int, ...], need: tuple[object, ...]) -> bool:
    return len(found) == len(need) and all(
        isinstance(w, str) or f == w for f, w in zip(found, need, strict=True)
    )


def _listed(keys: list[NestedKey]) -> str:
    return ", ".join(map(str, keys)) or "nowhere"
