"""Checks of influence weights and of Ŵ: their shape, and that they are in [0, 1]."""

import torch
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.errors import UsageError, require
from ilvf.options.arguments import found_words

ROUNDING = 1e-5  # of weights that are computed, such as correlations
SCALE = (
    "divide each row by its largest entry (the scale of a row has no effect on standardised "
    "advantages), and leave out negative ones"
)


def require_pairs(
    value: Tensor, key: NestedKey, like: Tensor, neighbours: Tensor | None = None
) -> None:
    """Raise unless `value` has a number for every pair of agents of `like` `[*B, N, 1]`.

    Args:
        neighbours: `[N, K]`: a number for each of an agent's neighbours is needed instead.
    """
    found = tuple(value.shape)
    if neighbours is not None:
        wanted = (*like.shape[:-2], *neighbours.shape)
        require(found == wanted, f"{key} has shape {found}, need {wanted}: [*B, T, N, K]")
        return
    shape = (*like.shape[:-1], like.shape[-2])
    require(
        found == shape,
        f"{key} has shape {found}, need {shape}: [*B, T, N, N], row = acting agent",
    )


def require_weights(name: str, weight: Tensor, advice: str, slack: float = 0) -> None:
    """Raise unless all numbers are in [0, 1].

    It reads the device, so that compiled code does not do it.

    Args:
        name, advice: for the message.
        slack: how far beyond they may be, by rounding.
    """
    if torch.compiler.is_compiling():
        return
    low, high = weight.aminmax()
    if not (low >= -slack) & (high <= 1 + slack):  # formatting the message reads, too
        raise UsageError(f"{name} is in [{low:.3g}, {high:.3g}], need [0, 1]: {advice}")


def require_graph(influence: Tensor) -> None:
    """Raise unless the graph is a square matrix with entries in [0, 1]."""
    require(
        isinstance(influence, Tensor),
        f"influence must be a tensor [N, N] or an InfluenceSource, found {found_words(influence)}",
    )
    found = tuple(influence.shape)
    require(
        len(found) == 2 and found[0] == found[1],
        f"influence must be a square [N, N] tensor, found {found}",
    )
    require(influence.numel() > 0, "influence is empty, need a row for each agent")
    require(bool(torch.isfinite(influence).all()), "influence has entries that are not finite")
    require_weights("influence", influence.float(), SCALE, ROUNDING)
