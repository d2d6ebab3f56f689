"""Networks: actors, critics, attention, value normalization."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, listing, names_of

_PUBLIC = {
    "actions": ["Actions", "Choices", "MultiChoices", "Box", "actions_of"],
    "actors.categorical": ["CategoricalActor"],
    "actors.multi_categorical": ["MultiCategoricalActor"],
    "actors.gaussian": ["GaussianActor"],
    "actors.deterministic": ["DeterministicActor", "NoisyActor"],
    "actors.greedy": ["GreedyActor"],
    "actors.random": ["RandomActor"],
    "critics.state": ["StateCritic"],
    "critics.local": ["LocalCritic"],
    "critics.central": ["CentralCritic"],
    "critics.influence": ["InfluenceCritic", "OwnFirst", "SharedFirst"],
    "critics.neighbour_first": ["NeighbourFirst"],
    "critics.attended_first": ["AttendedFirst"],
    "critics.action_influence": ["ActionInfluenceCritic"],
    "critics.relevance": ["RelevanceCritic"],
    "critics.counterfactual": ["CounterfactualCritic"],
    "critics.joint": ["JointCritic"],
    "attention": ["GumbelAttention", "gumbel_sigmoid"],
    "agent_nets": ["AgentLinear", "AgentMLP"],
    "mixer": ["Mixer"],
    "reward_model": ["RewardModel"],
    "value_norm": ["ValueNorm"],
}

__all__ = names_of(_PUBLIC)

__getattr__ = lazily(__name__, _PUBLIC)

__dir__ = listing(__all__)

if TYPE_CHECKING:
    from ilvf.modules.actions import Actions, Box, Choices, MultiChoices, actions_of
    from ilvf.modules.actors.categorical import CategoricalActor
    from ilvf.modules.actors.deterministic import DeterministicActor, NoisyActor
    from ilvf.modules.actors.gaussian import GaussianActor
    from ilvf.modules.actors.greedy import GreedyActor
    from ilvf.modules.actors.multi_categorical import MultiCategoricalActor
    from ilvf.modules.actors.random import RandomActor
    from ilvf.modules.agent_nets import AgentLinear, AgentMLP
    from ilvf.modules.attention import GumbelAttention, gumbel_sigmoid
    from ilvf.modules.critics.action_influence import ActionInfluenceCritic
    from ilvf.modules.critics.attended_first import AttendedFirst
    from ilvf.modules.critics.central import CentralCritic
    from ilvf.modules.critics.counterfactual import CounterfactualCritic
    from ilvf.modules.critics.influence import InfluenceCritic, OwnFirst, SharedFirst
    from ilvf.modules.critics.joint import JointCritic
    from ilvf.modules.critics.local import LocalCritic
    from ilvf.modules.critics.neighbour_first import NeighbourFirst
    from ilvf.modules.critics.relevance import RelevanceCritic
    from ilvf.modules.critics.state import StateCritic
    from ilvf.modules.mixer import Mixer
    from ilvf.modules.reward_model import RewardModel
    from ilvf.modules.value_norm import ValueNorm
