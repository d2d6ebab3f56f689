"""Algorithms: LightningModules that drive TorchRL collectors, one file each."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, names_of

_PUBLIC = {
    "on_policy": ["OnPolicy"],
    "off_policy": ["OffPolicy"],
    "ilvf_p": ["ILVFP"],
    "mappo": ["MAPPO"],
    "ippo": ["IPPO"],
    "coma": ["COMA"],
    "qmix": ["QMIX"],
    "maddpg": ["MADDPG"],
}

__all__ = names_of(_PUBLIC)

__getattr__ = lazily(__name__, _PUBLIC)

if TYPE_CHECKING:
    from ilvf.algorithms.coma import COMA
    from ilvf.algorithms.ilvf_p import ILVFP
    from ilvf.algorithms.ippo import IPPO
    from ilvf.algorithms.maddpg import MADDPG
    from ilvf.algorithms.mappo import MAPPO
    from ilvf.algorithms.off_policy import OffPolicy
    from ilvf.algorithms.on_policy import OnPolicy
    from ilvf.algorithms.qmix import QMIX
