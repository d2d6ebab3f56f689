"""Who is credited with what: influence, and the local advantages made of it."""

from ilvf.credit.advantage import ILVFAdvantage
from ilvf.credit.discretise import Bernoulli, Soft, Threshold
from ilvf.credit.functional import force_diagonal, local_advantage, standardise

__all__ = [
    "Bernoulli",
    "ILVFAdvantage",
    "Soft",
    "Threshold",
    "force_diagonal",
    "local_advantage",
    "standardise",
]
