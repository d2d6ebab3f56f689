"""`tempered`: a policy that is more, or less, certain of its choices than it was trained to be."""

import copy
from typing import TypeVar

import torch
from torch import nn

from ilvf.errors import require
from ilvf.modules.actors.categorical import CategoricalActor
from ilvf.modules.actors.multi_categorical import MultiCategoricalActor
from ilvf.options.arguments import require_number

Actor = TypeVar("Actor", bound=nn.Module)


def tempered(actor: Actor, temperature: float) -> Actor:
    """The policies with the probabilities  π_T(a | o) ∝ π(a | o)^{1/T}.

    T below 1 makes likely actions likelier, and T → 0 leaves the most likely ones. The logits are
    those of a linear output layer, and π_T has this layer's weights divided by T. So it is an actor
    like any other: it can be evaluated, exported and deployed.

    Args:
        actor: a `CategoricalActor` or `MultiCategoricalActor`; any actor if T is 1.
        temperature: T.

    Returns:
        a copy; the actor itself if T is 1.

    Raises:
        UsageError: T is not a number above 0, or the actor has no probabilities of choices.
    """
    require_temperable(actor, temperature)
    if temperature == 1:
        return actor
    other = copy.deepcopy(actor)
    with torch.no_grad():
        for parameter in other.get_submodule("net.head").parameters():
            parameter.div_(temperature)
    return other


def require_temperable(actor: nn.Module, temperature: float) -> None:
    """Raise unless `tempered` can be called with these arguments."""
    require_number("tempered", "temperature", temperature, above=0)
    require(
        temperature == 1 or isinstance(actor, CategoricalActor | MultiCategoricalActor),
        f"a temperature is for policies that sample discrete actions, and this one is a "
        f"{type(actor).__name__}; leave it at 1",
    )
