"""`RandomActor`: uniformly random actions, the lower bound in every table."""

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.errors import require
from ilvf.modules.actions import Actions, Choices, as_actions
from ilvf.modules.actors.categorical import choose
from ilvf.modules.actors.network import input_keys, mask_outputs, require_maskable
from ilvf.modules.checks import need, require_floats
from ilvf.options.arguments import require_flags, require_names


class RandomActor(TensorDictModuleBase):
    """Chooses every possible action with the same probability, or uniformly from a `Box`.

    Reads what a `CategoricalActor` reads. Writes `(group, "action")`, and for `Choices`
    `(group, "action_log_prob")`. Samples in every exploration mode.

    Args:
        actions: A, the number of choices, `MultiChoices`, or a `Box`.
        masked, group: see `NetworkActor`.
    """

    def __init__(self, actions: int | Actions, *, masked: bool = False, group: str = "agents"):
        super().__init__()
        self.actions = as_actions(actions, "RandomActor")
        require_flags("RandomActor", masked=masked)
        require_names("RandomActor", group=group)
        require_maskable("RandomActor", self.actions, masked)
        self.in_keys = input_keys(group, masked)
        self.out_keys = [(group, "action")]
        if isinstance(self.actions, Choices):
            self.out_keys.append((group, "action_log_prob"))

    def log_probs(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """log π_i(a | o_i) of every one of A discrete actions, `[*B, N, A]`."""
        require_floats("the observation", observation)
        require(
            isinstance(self.actions, Choices),
            f"RandomActor has no log_probs of a {type(self.actions).__name__}; they are for "
            "discrete actions, Choices",
        )
        logits = observation.new_zeros(*observation.shape[:-1], self.actions.width)
        return mask_outputs(logits, mask).log_softmax(-1)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        observation, *mask = (need(tensordict, key) for key in self.in_keys)
        if not isinstance(self.actions, Choices):
            return tensordict.set(self.out_keys[0], self.actions.random(observation, *mask))
        return choose(tensordict, self.log_probs(observation, *mask), self.out_keys)
