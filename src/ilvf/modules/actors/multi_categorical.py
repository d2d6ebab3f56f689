"""`MultiCategoricalActor`: N policies of several independent choices each, as one module."""

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.errors import require
from ilvf.modules.actions import MultiChoices
from ilvf.modules.actors.categorical import entropy_of, sample_action, select_action
from ilvf.modules.actors.network import StochasticActor, deterministic_mode
from ilvf.modules.checks import need
from ilvf.options.arguments import found_words


class MultiCategoricalActor(StochasticActor):
    """Policies of all agents over `MultiChoices`: independent categorical ones per component.

        π_i(a | o_i) = Π_d softmax(f_id(LN(o_i)))[a_d]

    The networks have A outputs, those of all components side by side. Log-probability and entropy
    are sums over the components. A component with a single choice, such as padding, adds 0 to both.

    Reads `(group, "observation")` `[*B, N, Do]` and, with `masked=True`, `(group, "action_mask")`
    `[*B, N, A]`. Writes `(group, "action")` `[*B, N, D]` and `(group, "action_log_prob")`
    `[*B, N]`. Samples, or takes the most likely choices in a `deterministic_mode`.

    Args:
        n_agents, observation_dim: N, Do.
        actions: the `MultiChoices`.
        **options: see `PolicyOptions` and `NetworkActor`.

    Raises:
        UsageError: other actions, or those of another number of agents.
    """

    written = ("action", "action_log_prob")
    actions: MultiChoices

    def __init__(self, n_agents: int, observation_dim: int, actions: MultiChoices, **options: Any):
        require(
            isinstance(actions, MultiChoices),
            f"MultiCategoricalActor is for MultiChoices, found {found_words(actions)}",
        )
        super().__init__(n_agents, observation_dim, actions, **options)

    def component_log_probs(self, outputs: Tensor) -> Tensor:
        """log π_id of every choice `[*B, N, D, W]`, from the method `outputs`."""
        found = self.actions.grid(outputs, -torch.inf).log_softmax(-1)
        return found.masked_fill(~self.actions.exists, torch.finfo(outputs.dtype).min)

    def components_of(self, tensordict: TensorDictBase) -> Tensor:
        """`component_log_probs` of a tensordict's steps, each with its own hidden state."""
        return self.component_log_probs(self.outputs(**self.inputs(tensordict)))

    def best(self, outputs: Tensor) -> Tensor:
        """The most likely choices `[*B, N, D]`."""
        return self.component_log_probs(outputs).argmax(-1)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        log_probs = self.component_log_probs(self.act(tensordict))
        action = log_probs.argmax(-1) if deterministic_mode() else sample_action(log_probs)
        tensordict.set(self.out_keys[0], action)
        return tensordict.set(self.out_keys[1], select_action(log_probs, action).sum(-1))

    def evaluate(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """See `StochasticActor.evaluate`."""
        log_probs = self.component_log_probs(self.outputs(**self.sequences(tensordict)))
        action = need(tensordict, self.out_keys[0])
        chosen = select_action(log_probs, action)
        return chosen.sum(-1), entropy_of(log_probs).sum(-1)

    def draw(self, tensordict: TensorDictBase, noise: torch.Generator) -> Tensor:
        """See `StochasticActor.draw`."""
        return sample_action(self.components_of(tensordict), noise)
