"""The hidden states with which a recurrent policy goes on in a resumed run."""

from collections.abc import Mapping
from typing import Any

from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.checkpoints.restoring import restoring
from ilvf.credit.signals import key_tuple
from ilvf.errors import require
from ilvf.modules.memory import memories_of


def saved_states(hidden: Mapping[NestedKey, Tensor]) -> dict[str, Any]:
    """What a process saves of its hidden states; nothing of a policy without memory."""
    if not hidden:
        return {}
    return {"hidden": {name_of(key): state for key, state in hidden.items()}}


def restored_states(
    saved: Mapping[str, Any], policy: TensorDictModuleBase, env: EnvBase
) -> dict[NestedKey, Tensor]:
    """The hidden states of a policy, if its environments go on where they were; else none.

    Args:
        saved: what the process saved.
        policy: it collects.
        env: its environments.

    Raises:
        UsageError: the hidden states are missing, of another type or shape, or not finite.
    """
    if not saved["env"]:
        return {}
    found = {}
    with restoring("hidden states"):
        for memory in memories_of(policy):
            state = saved["hidden"][name_of(memory.key)].to(env.device)
            need = memory.start(*env.batch_size)
            same = (state.dtype, state.shape) == (need.dtype, need.shape)
            require(same, f"they are no {need.dtype} of shape {tuple(need.shape)}")
            require(bool(state.isfinite().all()), "they are not finite")
            found[memory.key] = state
    return found


def name_of(key: NestedKey) -> str:
    """A nested key as one word: `agents.hidden`."""
    return ".".join(key_tuple(key))
