"""`Critic`: the interface of the critics that estimate V."""

from collections.abc import Sequence
from typing import Any

from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import Tensor, nn

from ilvf.modules.groups import OfGroups, group_names
from ilvf.modules.value_norm import ValueNorm, denormalised
from ilvf.options.arguments import require_names, require_sizes


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
        require_sizes(type(self).__name__, n_agents=n_agents, state_dim=state_dim)
        self.sizes = (n_agents, state_dim)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor | None]:
        """V(s) `[*B, N, 1]`, and no Q."""
        return self(state), None

    def value_module(
        self,
        group: str | Sequence[str] = "agents",
        value_key: str = "state_value",
        state_key: str = "state",
        norm: ValueNorm | None = None,
    ) -> TensorDictModuleBase:
        """`forward` as a TensorDictModule.

        Args:
            group: it reads `(group, state_key)` and writes `(group, value_key)`; critics with
                attention also write `(group, "influence_weight")` and
                `(group, "attention_logits")`. Several groups are one team of N agents: it reads the
                states of all, padded to D, and writes what the attention gives at the root.
            value_key: name of the value.
            state_key: name of the state; "observation" for an environment without states.
            norm: the critic's outputs are normalised values, `(group, "normalised_value")`; the
                value is in reward units. None takes the outputs as the value.
        """
        groups = group_names(group)
        require_names("value_module", value_key=value_key, state_key=state_key)
        home = groups if len(groups) == 1 else ()
        network = self if len(groups) == 1 else OfGroups(self)
        values = [(name, value_key) for name in groups]
        raw = values if norm is None else [(name, "normalised_value") for name in groups]
        module = TensorDictModule(
            network,
            in_keys=[(name, state_key) for name in groups],
            out_keys=[*raw, *(_key(*home, key) for key in self.attention_keys)],
        )
        return module if norm is None else denormalised(module, norm, raw, values)


def _key(*names: str) -> Any:
    """A nested key, or a name at the root."""
    return names if len(names) > 1 else names[0]
