"""Influence-based credit assignment for cooperative multi-agent reinforcement learning.

The public names, in the order the data meets them. Each is imported when it is first used, so that
`ilvf --help` does not wait for torch.
"""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, names_of

__version__ = "0.2.0"

_PUBLIC = {
    "envs": [
        "make_env",
        "check_env",
        "as_pettingzoo",
        "Encircle",
        "CapturePrey",
        "CACC",
        "Tabular",
        "PettingZoo",
    ],
    "modules": [
        "CategoricalActor",
        "GreedyActor",
        "RandomActor",
        "GumbelAttention",
        "InfluenceCritic",
        "ActionInfluenceCritic",
        "RelevanceCritic",
        "CounterfactualCritic",
        "StateCritic",
        "LocalCritic",
        "CentralCritic",
        "JointCritic",
        "Mixer",
        "ValueNorm",
    ],
    "credit": ["local_advantage", "Threshold", "Bernoulli", "Soft", "ILVFAdvantage"],
    "losses": ["ILVFLoss", "ActionValueLoss", "QMIXLoss", "MADDPGLoss"],
    "algorithms": ["ILVFP", "MAPPO", "IPPO", "COMA", "QMIX", "MADDPG"],
    "analysis": ["audit"],
    "checkpoints.policy": ["load_policy"],
    "errors": ["UsageError"],
}

__all__ = ["__version__", *names_of(_PUBLIC)]

__getattr__ = lazily(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from ilvf.algorithms import COMA, ILVFP, IPPO, MADDPG, MAPPO, QMIX
    from ilvf.analysis import audit
    from ilvf.checkpoints.policy import load_policy
    from ilvf.credit import Bernoulli, ILVFAdvantage, Soft, Threshold, local_advantage
    from ilvf.envs import (
        CACC,
        CapturePrey,
        Encircle,
        PettingZoo,
        Tabular,
        as_pettingzoo,
        check_env,
        make_env,
    )
    from ilvf.errors import UsageError
    from ilvf.losses import ActionValueLoss, ILVFLoss, MADDPGLoss, QMIXLoss
    from ilvf.modules import (
        ActionInfluenceCritic,
        CategoricalActor,
        CentralCritic,
        CounterfactualCritic,
        GreedyActor,
        GumbelAttention,
        InfluenceCritic,
        JointCritic,
        LocalCritic,
        Mixer,
        RandomActor,
        RelevanceCritic,
        StateCritic,
        ValueNorm,
    )
