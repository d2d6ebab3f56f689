"""What every algorithm can be told. A hyper-parameter is declared here once; imports nothing heavy.

`NAMEOptions` are what a LightningModule reads. `NAMEConfig`, declared by `@algorithm(NAME)`, adds
what its parts are built from: networks, and words that choose a part.
"""

from ilvf.algorithms.options.influence import (
    ILVFPConfig,
    ILVFPOptions,
    ILVFSConfig,
    InfluenceWord,
    MixingOptions,
    NoInferringConfig,
    PRDConfig,
    RelationOptions,
    is_named_source,
    is_own_source,
)
from ilvf.algorithms.options.large_teams import (
    ChoiceOfNeighbours,
    LargeTeamOptions,
    NeighbourOptions,
)
from ilvf.algorithms.options.registry import (
    ALGORITHMS,
    CLASSES,
    algorithm,
    config_class,
    config_of,
    name_of,
)
from ilvf.algorithms.options.training import (
    AlgorithmConfig,
    OffPolicyConfig,
    OffPolicyOptions,
    OnPolicyConfig,
    OnPolicyOptions,
    PolicyConfig,
    ShareOptions,
    SharingOptions,
    TrainingOptions,
    check_temperature,
)
from ilvf.algorithms.options.without_influence import (
    COMAConfig,
    COMAOptions,
    ExplorationOptions,
    IPPOConfig,
    MADDPGConfig,
    MADDPGTrainingOptions,
    MAPPOConfig,
    NoiseOptions,
    QMIXConfig,
    QMIXTrainingOptions,
)

__all__ = [
    "ALGORITHMS",
    "CLASSES",
    "AlgorithmConfig",
    "COMAConfig",
    "COMAOptions",
    "ChoiceOfNeighbours",
    "ExplorationOptions",
    "ILVFPConfig",
    "ILVFPOptions",
    "ILVFSConfig",
    "IPPOConfig",
    "InfluenceWord",
    "LargeTeamOptions",
    "MADDPGConfig",
    "MADDPGTrainingOptions",
    "MAPPOConfig",
    "MixingOptions",
    "NeighbourOptions",
    "NoInferringConfig",
    "NoiseOptions",
    "OffPolicyConfig",
    "OffPolicyOptions",
    "OnPolicyConfig",
    "OnPolicyOptions",
    "PRDConfig",
    "PolicyConfig",
    "QMIXConfig",
    "QMIXTrainingOptions",
    "RelationOptions",
    "ShareOptions",
    "SharingOptions",
    "TrainingOptions",
    "algorithm",
    "check_temperature",
    "config_class",
    "config_of",
    "is_named_source",
    "is_own_source",
    "name_of",
]
