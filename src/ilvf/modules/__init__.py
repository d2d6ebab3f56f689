"""What acts and values: actors, critics, attention, value normalisation."""

from ilvf.modules.action_attention import ActionInfluenceCritic
from ilvf.modules.actor import CategoricalActor, RandomActor
from ilvf.modules.agent_nets import AgentLinear, AgentMLP
from ilvf.modules.attention import GumbelAttention, gumbel_sigmoid
from ilvf.modules.central import CentralCritic, LocalCritic
from ilvf.modules.counterfactual import CounterfactualCritic
from ilvf.modules.critic import InfluenceCritic, StateCritic
from ilvf.modules.first_layers import OwnFirst, SharedFirst
from ilvf.modules.greedy import GreedyActor
from ilvf.modules.joint_critic import JointCritic
from ilvf.modules.mixer import Mixer
from ilvf.modules.relevance import RelevanceCritic
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
