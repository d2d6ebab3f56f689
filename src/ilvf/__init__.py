"""Influence-based credit assignment for cooperative multi-agent reinforcement learning.

The public names, in the order the data meets them. Each is imported when it is first used, so that
`ilvf --help` does not wait for torch.
"""

from typing import TYPE_CHECKING

from ilvf.algorithms.options import CLASSES
from ilvf.envs.options import classes
from ilvf.lazy import lazily, listing, names_of

__version__ = "0.2.0"

_PUBLIC = {
    "envs": ["make_env", "check_env", "as_pettingzoo"],
    **classes(),
    "modules": [
        "Box",
        "MultiChoices",
        "CategoricalActor",
        "MultiCategoricalActor",
        "GaussianActor",
        "DeterministicActor",
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
    "credit": [
        "local_advantage",
        "Threshold",
        "Bernoulli",
        "Soft",
        "InfluenceSource",
        "LearnedInfluence",
        "FixedInfluence",
        "ScoreInfluence",
        "SupervisedInfluence",
        "ILVFAdvantage",
    ],
    "losses": ["PPOLoss", "ILVFLoss", "ActionValueLoss", "QMIXLoss", "MADDPGLoss"],
    "algorithms": list(CLASSES),
    "analysis": ["audit"],
    "checkpoints.policy": ["load_policy"],
    "commands.experiment": ["Experiment"],
    "errors": ["UsageError"],
}

__all__ = ["__version__", *names_of(_PUBLIC)]

__getattr__ = lazily(__name__, _PUBLIC)

__dir__ = listing(__all__)


if TYPE_CHECKING:
    from ilvf.algorithms.coma import COMA
    from ilvf.algorithms.ilvf_p import ILVFP
    from ilvf.algorithms.ippo import IPPO
    from ilvf.algorithms.maddpg import MADDPG
    from ilvf.algorithms.mappo import MAPPO
    from ilvf.algorithms.qmix import QMIX
    from ilvf.analysis import audit
    from ilvf.checkpoints.policy import load_policy
    from ilvf.commands.experiment import Experiment
    from ilvf.credit import (
        Bernoulli,
        FixedInfluence,
        ILVFAdvantage,
        InfluenceSource,
        LearnedInfluence,
        ScoreInfluence,
        Soft,
        SupervisedInfluence,
        Threshold,
        local_advantage,
    )
    from ilvf.envs import make_env
    from ilvf.envs.cacc.env import CACC
    from ilvf.envs.capture_prey.env import CapturePrey
    from ilvf.envs.check import check_env
    from ilvf.envs.encircle.env import Encircle
    from ilvf.envs.gymnasium.env import Gymnasium
    from ilvf.envs.pettingzoo.env import PettingZoo
    from ilvf.envs.pettingzoo.export import as_pettingzoo
    from ilvf.envs.tabular.env import Tabular
    from ilvf.envs.vmas.env import Vmas
    from ilvf.errors import UsageError
    from ilvf.losses import ActionValueLoss, ILVFLoss, MADDPGLoss, PPOLoss, QMIXLoss
    from ilvf.modules import (
        ActionInfluenceCritic,
        Box,
        CategoricalActor,
        CentralCritic,
        CounterfactualCritic,
        DeterministicActor,
        GaussianActor,
        GreedyActor,
        GumbelAttention,
        InfluenceCritic,
        JointCritic,
        LocalCritic,
        Mixer,
        MultiCategoricalActor,
        MultiChoices,
        RandomActor,
        RelevanceCritic,
        StateCritic,
        ValueNorm,
    )
