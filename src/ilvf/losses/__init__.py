"""What is minimised, and the advantages it uses."""

from ilvf.losses.action_value import ActionValueLoss
from ilvf.losses.advantage import ILVFAdvantage
from ilvf.losses.discretise import Bernoulli, Soft, Threshold
from ilvf.losses.functional import force_diagonal, local_advantage, standardise
from ilvf.losses.ilvf import ILVFLoss
from ilvf.losses.maddpg import MADDPGLoss
from ilvf.losses.qmix import QMIXLoss

__all__ = [
    "ActionValueLoss",
    "Bernoulli",
    "ILVFAdvantage",
    "ILVFLoss",
    "MADDPGLoss",
    "QMIXLoss",
    "Soft",
    "Threshold",
    "force_diagonal",
    "local_advantage",
    "standardise",
]
