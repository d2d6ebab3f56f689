"""Influence-based credit assignment for cooperative multi-agent reinforcement learning.

The public names, in the order the data meets them; each is imported when it is first used, so that a recipe's `--help`
does not wait for torch.
"""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily

if TYPE_CHECKING:
    from ilvf.algorithms import ILVFP
    from ilvf.checkpoint import load_policy
    from ilvf.envs import CACC, CapturePrey, Encircle, check_env, make_env
    from ilvf.errors import UsageError
    from ilvf.losses import ActionValueLoss, Bernoulli, ILVFAdvantage, ILVFLoss, Soft, Threshold, local_advantage
    from ilvf.modules import CategoricalActor, GumbelAttention, InfluenceCritic, StateCritic, ValueNorm

_HOME = {
    "make_env": "envs",
    "check_env": "envs",
    "Encircle": "envs",
    "CapturePrey": "envs",
    "CACC": "envs",
    "CategoricalActor": "modules",
    "GumbelAttention": "modules",
    "InfluenceCritic": "modules",
    "StateCritic": "modules",
    "ValueNorm": "modules",
    "local_advantage": "losses",
    "Threshold": "losses",
    "Bernoulli": "losses",
    "Soft": "losses",
    "ILVFAdvantage": "losses",
    "ILVFLoss": "losses",
    "ActionValueLoss": "losses",
    "ILVFP": "algorithms",
    "load_policy": "checkpoint",
    "UsageError": "errors",
}

__all__ = [  # noqa: RUF022 (in the order the data meets them)
    "make_env",
    "check_env",
    "Encircle",
    "CapturePrey",
    "CACC",
    "CategoricalActor",
    "GumbelAttention",
    "InfluenceCritic",
    "StateCritic",
    "ValueNorm",
    "local_advantage",
    "Threshold",
    "Bernoulli",
    "Soft",
    "ILVFAdvantage",
    "ILVFLoss",
    "ActionValueLoss",
    "ILVFP",
    "load_policy",
    "UsageError",
]


__getattr__ = lazily(__name__, _HOME)
