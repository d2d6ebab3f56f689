"""The actor that knows nothing: the floor of every table."""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.modules.actors.categorical import choose


class RandomActor(TensorDictModuleBase):
    """Every possible action with the same probability: the floor of every table.

    Reads what `CategoricalActor` reads, and writes the same keys; never deterministic.

    Args:
        n_actions: A. masked, group: see `CategoricalActor`.
    """

    def __init__(self, n_actions: int, *, masked: bool = False, group: str = "agents"):
        super().__init__()
        self.n_actions = n_actions
        self.in_keys = [(group, "observation")] + ([(group, "action_mask")] if masked else [])
        self.out_keys = [(group, "action"), (group, "action_log_prob")]

    def log_probs(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`."""
        logits = observation.new_zeros(*observation.shape[:-1], self.n_actions)
        if mask is not None:
            logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        return logits.log_softmax(-1)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        return choose(
            tensordict, self.log_probs(*(tensordict.get(k) for k in self.in_keys)), self.out_keys
        )
