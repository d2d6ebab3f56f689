"""Steps of an environment under a policy whose noise comes from a given generator."""

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.envs.utils import step_mdp

from ilvf.errors import UsageError, require
from ilvf.modules.actors.categorical import sample_action
from ilvf.modules.actors.network import StochasticActor
from ilvf.modules.memory import memories_of

State = Mapping[str, Tensor]  # what `env.get_state()` returns: tensors [B, ...], and "rng"


def require_states(env: EnvBase) -> None:
    """Raise unless the environment can be saved and put back into a state."""
    # TorchRL gives every environment a set_state, so both names must be there.
    both = hasattr(env, "get_state") and hasattr(env, "set_state")
    require(
        both,
        f"{type(env).__name__} has no get_state and set_state; the audit starts from given states",
    )


def require_memoryless(policy: Any) -> None:
    """Raise if a policy is recurrent: a state of the environment lacks what it remembers."""
    require(
        not memories_of(policy),
        f"the {type(policy).__name__} is recurrent; the audit starts from states of the "
        "environment, which do not have what the team remembers there",
    )


def episode_steps(env: EnvBase, steps: int | None) -> int:
    """`steps`, or the environment's `horizon` if it is None."""
    steps = int(getattr(env, "horizon", 0)) if steps is None else steps
    require(
        steps >= 1,
        f"steps={steps}: {type(env).__name__} has no horizon, say how long a return or an episode "
        "is",
    )
    return steps


def step_env(env: EnvBase, td: TensorDictBase, action: Tensor) -> tuple[Tensor, TensorDictBase]:
    """One step with the actions `[B, N(, A)]`: the rewards `[B, N]` and the next tensordict."""
    out = env.step(td.set(("agents", "action"), action))
    return out["next", "agents", "reward"].squeeze(-1), step_mdp(out)


def draw_actions(policy: Any, td: TensorDictBase, noise: torch.Generator) -> Tensor:
    """Actions of all agents, `[B, N, *event]`.

    The same noise gives the same action wherever the policy is the same.
    """
    if isinstance(policy, StochasticActor):
        return policy.draw(td, noise)
    return sample_action(log_probabilities(policy, td), noise)


def log_probabilities(policy: Any, td: TensorDictBase) -> Tensor:
    """log π_i(a | o_i) of all agents and actions, `[B, N, A]`.

    Args:
        policy: a module with `log_probs(*inputs)` and `in_keys`, such as `CategoricalActor`, or
            with a `get_dist` that returns a Categorical.

    Raises:
        UsageError: the policy has neither.
    """
    if hasattr(policy, "log_probs"):
        return policy.log_probs(*(td.get(k) for k in policy.in_keys))
    logits = getattr(policy.get_dist(td), "logits", None) if hasattr(policy, "get_dist") else None
    if logits is None:
        raise UsageError(
            "the audit needs a policy over discrete actions, a MultiCategoricalActor or a "
            f"GaussianActor, found {type(policy).__name__}"
        )
    return logits.log_softmax(-1)
