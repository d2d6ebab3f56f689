"""LightningModules that drive TorchRL collectors: one file an algorithm."""

from ilvf.algorithms.coma import COMA
from ilvf.algorithms.ilvf_p import ILVFP
from ilvf.algorithms.ippo import IPPO
from ilvf.algorithms.maddpg import MADDPG
from ilvf.algorithms.mappo import MAPPO
from ilvf.algorithms.off_policy import OffPolicy
from ilvf.algorithms.on_policy import OnPolicy
from ilvf.algorithms.qmix import QMIX

__all__ = ["COMA", "ILVFP", "IPPO", "MADDPG", "MAPPO", "QMIX", "OffPolicy", "OnPolicy"]
