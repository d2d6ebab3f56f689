"""What acts and values: actors, critics, attention, value normalisation."""

from ilvf.modules.actor import CategoricalActor
from ilvf.modules.agent_nets import AgentLinear, AgentMLP
from ilvf.modules.attention import GumbelAttention, gumbel_sigmoid
from ilvf.modules.critic import InfluenceCritic, StateCritic
from ilvf.modules.first_layers import OwnFirst, SharedFirst
from ilvf.modules.value_norm import ValueNorm

__all__ = [
    "AgentLinear",
    "AgentMLP",
    "CategoricalActor",
    "GumbelAttention",
    "InfluenceCritic",
    "OwnFirst",
    "SharedFirst",
    "StateCritic",
    "ValueNorm",
    "gumbel_sigmoid",
]
