"""`Carried`: the transform that gives an environment the hidden states of a policy."""

from collections.abc import Mapping

from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Composite
from torchrl.envs import TensorDictPrimer


class Carried(TensorDictPrimer):
    """TorchRL's primer of hidden states, which the first reset can set to given ones.

    Args:
        specs: of the hidden states of one environment.
        first: key → hidden states `[*B, N, S]` that the first reset returns; empty for zeros.
    """

    def __init__(self, specs: Composite, first: Mapping[NestedKey, Tensor]):
        super().__init__(specs, expand_specs=True)
        self.first = dict(first)

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        out = super()._reset(tensordict, tensordict_reset)
        for key, state in self.first.items():
            out.set(key, state)
        self.first = {}
        return out
