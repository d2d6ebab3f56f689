"""What critics share: their interface, checks of shapes, and the joint action that Q reads."""

from typing import Any

from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.errors import require


class Critic(nn.Module):
    """Base of the critics that estimate V.

        forward(state)            V, and with attention also the weights and the logits
        predict(state, action)    (V, Q), which losses regress; Q is None where there is none
        value_module()            `forward` as a TensorDictModule

    A loss accepts any module with `predict`.

    Args:
        n_agents, state_dim: N and D of the states that it reads.
    """

    attention_keys: tuple[str, ...] = ()  # what `forward` returns after V

    def __init__(self, n_agents: int, state_dim: int):
        super().__init__()
        self.sizes = (n_agents, state_dim)

    def rows(self, state: Tensor) -> Tensor:
        """state `[*B, N, D]` → `[B, N, D]`.

        Raises:
            UsageError: N or D is not what the critic was built for.
        """
        require_state(state, *self.sizes)
        return state.flatten(0, -3)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor | None]:
        """V(s) `[*B, N, 1]`, and no Q."""
        return self(state), None

    def value_module(
        self, group: str = "agents", value_key: str = "state_value", state_key: str = "state"
    ) -> TensorDictModule:
        """`forward` as a TensorDictModule.

        Args:
            group: it reads `(group, state_key)` and writes `(group, value_key)`; critics with
                attention also write `(group, "influence_weight")` and
                `(group, "attention_logits")`.
            value_key: name of the value.
            state_key: name of the state; "observation" for an environment without states.
        """
        out: list[Any] = [(group, key) for key in (value_key, *self.attention_keys)]
        return TensorDictModule(self, in_keys=[(group, state_key)], out_keys=out)


def require_state(state: Tensor, n_agents: int, state_dim: int) -> None:
    """Raise unless `state` has the shape `[*B, N, D]`."""
    found = tuple(state.shape)
    require(
        found[-2:] == (n_agents, state_dim),
        f"the critic was built for {n_agents} agents with states of {state_dim} numbers, "
        f"found {found}; need [..., {n_agents}, {state_dim}]",
    )


def agents_last(y: Tensor, state: Tensor) -> Tensor:
    """`[N, B, F]` → `[*B, N, F]`, with the batch axes of `state` `[*B, N, D]`."""
    return y.transpose(0, 1).reshape(*state.shape[:-1], y.shape[-1])


def joint_action(action: Tensor, state: Tensor, n_actions: int) -> Tensor:
    """The joint action as one vector per row, `[B, N·A]` float.

    Args:
        action: indices `[*B, N]`, which become one-hot, or A numbers per agent `[*B, N, A]`
            (one-hot or continuous).
        state: `[*B, N, D]`.
        n_actions: A.

    Raises:
        UsageError: another shape, or indices that are not integers.
    """
    agents = tuple(state.shape[:-1])
    found = tuple(action.shape)
    if found == (*agents, n_actions):
        return action.flatten(0, -3).flatten(1).to(state.dtype)
    require(
        found == agents and not action.is_floating_point(),
        f"the action has shape {found} and dtype {action.dtype}; the critic needs indices "
        f"{agents}, or {(*agents, n_actions)} where an agent's action has {n_actions} numbers",
    )
    return nn.functional.one_hot(action.flatten(0, -2), n_actions).flatten(1).to(state.dtype)
