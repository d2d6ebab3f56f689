"""What is minimised."""

from ilvf.losses.action_value import ActionValueLoss
from ilvf.losses.maddpg import MADDPGLoss
from ilvf.losses.ppo import ILVFLoss
from ilvf.losses.qmix import QMIXLoss

__all__ = ["ActionValueLoss", "ILVFLoss", "MADDPGLoss", "QMIXLoss"]
