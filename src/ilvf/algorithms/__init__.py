"""LightningModules that drive TorchRL collectors: one file an algorithm."""

from ilvf.algorithms.coma import COMA
from ilvf.algorithms.ilvf_p import ILVFP
from ilvf.algorithms.ippo import IPPO
from ilvf.algorithms.mappo import MAPPO
from ilvf.algorithms.on_policy import OnPolicy

__all__ = ["COMA", "ILVFP", "IPPO", "MAPPO", "OnPolicy"]
