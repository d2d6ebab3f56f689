"""The algorithms: LightningModules that drive TorchRL collectors."""

from ilvf.algorithms.ilvf_p import ILVFP
from ilvf.algorithms.on_policy import OnPolicy

__all__ = ["ILVFP", "OnPolicy"]
