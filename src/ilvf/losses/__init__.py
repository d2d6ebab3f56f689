"""Losses: what the optimiser minimises."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, listing, names_of

_PUBLIC = {
    "ppo": ["PPOLoss", "ILVFLoss"],
    "action_value": ["ActionValueLoss"],
    "qmix": ["QMIXLoss"],
    "maddpg": ["MADDPGLoss"],
}

__all__ = names_of(_PUBLIC)

__getattr__ = lazily(__name__, _PUBLIC)

__dir__ = listing(__all__)

if TYPE_CHECKING:
    from ilvf.losses.action_value import ActionValueLoss
    from ilvf.losses.maddpg import MADDPGLoss
    from ilvf.losses.ppo import ILVFLoss, PPOLoss
    from ilvf.losses.qmix import QMIXLoss
