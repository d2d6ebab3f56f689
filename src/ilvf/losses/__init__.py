"""What is minimised, and the advantages it uses."""

from ilvf.losses.action_value import ActionValueLoss
from ilvf.losses.advantage import ILVFAdvantage
from ilvf.losses.discretise import Bernoulli, Soft, Threshold
from ilvf.losses.functional import force_diagonal, local_advantage, standardise
from ilvf.losses.ilvf import ILVFLoss

__all__ = [
    "ActionValueLoss",
    "Bernoulli",
    "ILVFAdvantage",
    "ILVFLoss",
    "Soft",
    "Threshold",
    "force_diagonal",
    "local_advantage",
    "standardise",
]
