"""`RandomActor`: uniformly random actions, the lower bound in every table."""

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.modules.actors.categorical import choose, input_keys, mask_outputs


class RandomActor(TensorDictModuleBase):
    """Chooses every possible action with the same probability.

    Reads and writes the keys of `CategoricalActor`. Samples in every exploration mode.

    Args:
        n_actions: A.
        masked, group: see `NetworkActor`.
    """

    def __init__(self, n_actions: int, *, masked: bool = False, group: str = "agents"):
        super().__init__()
        self.n_actions = n_actions
        self.in_keys = input_keys(group, masked)
        self.out_keys = [(group, "action"), (group, "action_log_prob")]

    def log_probs(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`."""
        logits = observation.new_zeros(*observation.shape[:-1], self.n_actions)
        return mask_outputs(logits, mask).log_softmax(-1)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        log_probs = self.log_probs(*(tensordict.get(key) for key in self.in_keys))
        return choose(tensordict, log_probs, self.out_keys)
