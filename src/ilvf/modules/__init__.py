"""What acts and values: actors, critics, attention, value normalisation."""

from ilvf.modules.actors.categorical import CategoricalActor
from ilvf.modules.actors.greedy import GreedyActor
from ilvf.modules.actors.random import RandomActor
from ilvf.modules.agent_nets import AgentLinear, AgentMLP
from ilvf.modules.attention import GumbelAttention, gumbel_sigmoid
from ilvf.modules.critics.action_influence import ActionInfluenceCritic
from ilvf.modules.critics.central import CentralCritic
from ilvf.modules.critics.counterfactual import CounterfactualCritic
from ilvf.modules.critics.influence import InfluenceCritic
from ilvf.modules.critics.joint import JointCritic
from ilvf.modules.critics.local import LocalCritic
from ilvf.modules.critics.relevance import RelevanceCritic
from ilvf.modules.critics.state import StateCritic
from ilvf.modules.first_layers import OwnFirst, SharedFirst
from ilvf.modules.mixer import Mixer
from ilvf.modules.value_norm import ValueNorm

__all__ = [
    "ActionInfluenceCritic",
    "AgentLinear",
    "AgentMLP",
    "CategoricalActor",
    "CentralCritic",
    "CounterfactualCritic",
    "GreedyActor",
    "GumbelAttention",
    "InfluenceCritic",
    "JointCritic",
    "LocalCritic",
    "Mixer",
    "OwnFirst",
    "RandomActor",
    "RelevanceCritic",
    "SharedFirst",
    "StateCritic",
    "ValueNorm",
    "gumbel_sigmoid",
]
