"""How well influence weights find a known graph. Off-diagonal pairs only: everybody moves its own return."""

import torch
from torch import Tensor
from torchmetrics.functional import classification


def off_diagonal(matrix: Tensor) -> Tensor:
    """The entries `[*B, N·(N−1)]` of `[*B, N, N]` outside the diagonal."""
    n = matrix.shape[-1]
    return matrix[..., ~torch.eye(n, dtype=torch.bool, device=matrix.device)]


def density(influence: Tensor) -> Tensor:
    """Share of ones outside the diagonal of `[*B, N, N]`."""
    return off_diagonal(influence).float().mean()


def lower_share(matrix: Tensor) -> Tensor:
    """How much of the off-diagonal entries of `[*B, N, N]` lies below the diagonal, `[*B]`: ½ for a symmetric matrix.

    Of an attention w (row = critic) in a platoon: how much of what matters to a vehicle drives in front of it.
    """
    below = matrix.tril(-1).sum((-1, -2))
    return below / off_diagonal(matrix).sum(-1).clamp_min(1e-12)


def auroc(score: Tensor, truth: Tensor) -> Tensor:
    """Area under the ROC curve of scores `[N, N]` for a boolean graph `[N, N]`, off-diagonal pairs pooled.

    1 if every true pair scores above every false one, 0.5 for chance; 0.5 too if the graph has only one kind of pair.
    """
    target = off_diagonal(truth)
    if target.all() or not target.any():
        return torch.tensor(0.5, device=score.device)
    return classification.binary_auroc(off_diagonal(score), target.long())


def average_precision(score: Tensor, truth: Tensor) -> Tensor:
    """Area under the precision-recall curve, off-diagonal pairs pooled; chance is the share of true pairs."""
    return classification.binary_average_precision(off_diagonal(score), off_diagonal(truth).long())


def calibration_error(score: Tensor, truth: Tensor, bins: int = 10) -> Tensor:
    """Mean |weight − share of true pairs| over bins of the weight, read as a probability; off-diagonal pairs pooled."""
    return classification.binary_calibration_error(
        off_diagonal(score), off_diagonal(truth).long(), n_bins=bins
    )
