"""`Critic`: the interface of the critics that estimate V."""

from typing import Any

from tensordict.nn import TensorDictModule
from torch import Tensor, nn


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
