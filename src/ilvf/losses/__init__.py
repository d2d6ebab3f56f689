"""What is minimised, and the advantages it uses."""

from ilvf.losses.discretise import Bernoulli, Soft, Threshold
from ilvf.losses.functional import force_diagonal, local_advantage, standardise
from ilvf.losses.ilvf import ILVFLoss
from ilvf.losses.local_advantage import ILVFAdvantage

__all__ = [
    "Bernoulli",
    "ILVFAdvantage",
    "ILVFLoss",
    "Soft",
    "Threshold",
    "force_diagonal",
    "local_advantage",
    "standardise",
]
