"""Scores of influence weights against a known graph.

Only off-diagonal pairs count, because every agent influences its own return.
"""

import torch
from torch import Tensor
from torchmetrics.functional import classification


def off_diagonal(matrix: Tensor) -> Tensor:
    """The entries of `[*B, N, N]` outside the diagonal, `[*B, N·(N−1)]`."""
    n = matrix.shape[-1]
    # The diagonal is every (N+1)-th entry. Slices do not read the device, as a boolean index would.
    after_first = matrix.flatten(-2)[..., 1:]
    return after_first.unflatten(-1, (n - 1, n + 1))[..., :-1].flatten(-2)


def density(influence: Tensor) -> Tensor:
    """Share of ones among the off-diagonal entries of `[*B, N, N]`."""
    return off_diagonal(once(influence)).float().mean()


def once(influence: Tensor) -> Tensor:
    """`[*B, N, N]` with one entry along each batch axis that it was expanded along."""
    for axis in range(influence.ndim - 2):
        if influence.stride(axis) == 0:
            influence = influence.narrow(axis, 0, 1)
    return influence


def lower_share(matrix: Tensor) -> Tensor:
    """Share of the off-diagonal sum that lies below the diagonal.

    0.5 for a symmetric matrix. For the attention w of a platoon (row = critic, column = whose
    state) it is the share of the weight on vehicles in front.

    Args:
        matrix: `[*B, N, N]`, not negative.

    Returns:
        `[*B]`.
    """
    below = matrix.tril(-1).sum((-1, -2))
    return below / off_diagonal(matrix).sum(-1).clamp_min(1e-12)


def auroc(score: Tensor, truth: Tensor) -> Tensor:
    """Area under the ROC curve of weights for a boolean graph.

    The Mann-Whitney statistic: the share of (true, false) pairs in which the true one has the
    higher score, where equal scores count half. 1 is perfect, 0.5 is chance. It is also 0.5 for a
    graph in which all pairs are true, or none. Nothing is read from the device, so that training
    need not wait for it.

    Args:
        score: `[N, N]`.
        truth: bool `[N, N]`.
    """
    scores = off_diagonal(score).float().contiguous()
    target = off_diagonal(truth).long()
    in_order = scores.sort().values
    below = torch.searchsorted(in_order, scores)
    not_above = torch.searchsorted(in_order, scores, right=True)
    n_true = target.sum()
    pairs = n_true * (target.numel() - n_true)
    twice_ranks = ((below + not_above + 1) * target).sum()  # ranks from 1, means of equal ones
    twice_wins = twice_ranks - n_true * (n_true + 1)
    area = twice_wins.float() / (2 * pairs).clamp_min(1).float()
    return torch.where(pairs > 0, area, 0.5)


def average_precision(score: Tensor, truth: Tensor) -> Tensor:
    """Area under the precision-recall curve; chance level is the share of true pairs.

    Args:
        score: `[N, N]`.
        truth: bool `[N, N]`.
    """
    return classification.binary_average_precision(off_diagonal(score), off_diagonal(truth).long())


def calibration_error(score: Tensor, truth: Tensor, bins: int = 10) -> Tensor:
    """Expected calibration error of weights that are read as probabilities.

    Mean of |mean weight − share of true pairs| over bins of the weight, weighted by the number of
    pairs in each bin.

    Args:
        score: `[N, N]` in [0, 1].
        truth: bool `[N, N]`.
        bins: of equal width.
    """
    return classification.binary_calibration_error(
        off_diagonal(score), off_diagonal(truth).long(), n_bins=bins
    )
