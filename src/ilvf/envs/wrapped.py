"""Environments inside others: what TorchRL's wrappers do not hand on."""

from typing import Any

from torch import nn
from torchrl.envs import EnvBase, TransformedEnv
from torchrl.envs.batched_envs import BatchedEnvBase


class SavedThrough(TransformedEnv):
    """A transformed environment whose `set_state` is that of the environment inside.

    TorchRL's `TransformedEnv` hands on `get_state` alone.
    """

    def set_state(self, state: Any) -> None:
        """Restore the environment inside."""
        keeper_of(self).set_state(state)


class Several(TransformedEnv):
    """TorchRL's batch of single environments without their attributes, which it gives as lists."""

    def __getattr__(self, attr: str) -> Any:
        return nn.Module.__getattr__(self, attr)


def saves_states(env: EnvBase) -> bool:
    """Has the environment both methods? `EnvBase` has a `set_state` that restores nothing.

    TorchRL's batches of single environments have neither, whatever their environments have.
    """
    if isinstance(env, SavedThrough):
        return saves_states(keeper_of(env))
    own = type(env).set_state is not EnvBase.set_state
    return own and not isinstance(env, BatchedEnvBase) and hasattr(env, "get_state")


def keeper_of(env: Any) -> EnvBase:
    """The outermost environment inside a transformed one that saves states, or the innermost."""
    inner = env.base_env
    while isinstance(inner, TransformedEnv) and not saves_states(inner):
        inner = inner.base_env
    return inner


def set_to_evaluate(env: Any) -> None:
    """`eval()` of an environment and of all that are inside it, which TorchRL's does not reach."""
    env.eval()
    if isinstance(env, TransformedEnv):
        set_to_evaluate(env.base_env)
