"""Options of the networks, each declared once. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from ilvf.modules.images import MOST_CONVOLUTIONS
from ilvf.options import Options, option


@dataclass
class MLPOptions(Options):
    """The hidden layers of an `AgentMLP`."""

    hidden: int = option(64, "units of every hidden layer", least=1)
    depth: int = option(2, "hidden layers (f_h and Q of the attention critics have one)", least=1)
    activation: Literal["relu", "tanh", "elu"] = option("relu", "activation of hidden layers")
    hidden_norm: bool = option(False, "LayerNorm after hidden layers too (official MAPPO)")
    share: bool = option(False, "one network for all agents, whose identity enters as a bias")


@dataclass
class NetworkOptions(MLPOptions):
    """The networks of actors and critics."""

    input_norm: Literal["layer", "none"] = option(
        "layer", "LayerNorm of inputs (paper, official MAPPO), or none, where their scale matters"
    )


@dataclass
class MemoryOptions(Options):
    """The memory of a network."""

    recurrent: Literal["none", "gru", "lstm"] = option(
        "none",
        "memory between the hidden layers and the output of actors, and of critics without "
        "attention or Q",
    )


@dataclass
class ValueOptions(MemoryOptions, NetworkOptions):
    """The networks of a critic that can have a memory."""


@dataclass
class ActorOptions(NetworkOptions):
    """Networks with an output layer that starts small."""

    gain: float = option(0.01, "scale of the output layer's orthogonal initialisation", above=0)


@dataclass
class PolicyOptions(MemoryOptions, ActorOptions):
    """The networks of an actor."""


@dataclass
class ImageOptions(Options):
    """How images in observations are read."""

    images: Literal["flat", "cnn"] = option(
        "flat", "images in observations: numbers like all others, or cnn: read by convolutions"
    )
    filters: int = option(
        16,
        "images=cnn: filters of the first convolution; each later one has twice as many",
        least=1,
    )
    convolutions: int = option(
        2, "images=cnn: convolutions, 3 × 3 with stride 2", least=1, most=MOST_CONVOLUTIONS
    )


@dataclass
class SetOptions(Options):
    """How sets of entities in observations are read."""

    sets: Literal["flat", "attention"] = option(
        "flat",
        "sets of entities in observations: numbers like all others, or read by an attention",
    )
    heads: int = option(4, "sets=attention: heads of the attention", least=1)
    embedding: int = option(
        32, "sets=attention: features of an entity, a multiple of the heads", least=1
    )


@dataclass
class GaussianOptions(Options):
    """Policies over continuous actions."""

    distribution: Literal["normal", "tanh_normal"] = option(
        "normal", "continuous actions: normal, clipped to the bounds, or tanh_normal, within them"
    )
    scale: Literal["shared", "state"] = option(
        "shared", "continuous actions: σ shared by all states, or state: an output of the network"
    )
    initial_scale: float = option(
        0.5, "continuous actions: σ before training, in units of half their range", above=0
    )


@dataclass
class GaussianActorOptions(GaussianOptions, PolicyOptions):
    """A `GaussianActor`."""


@dataclass
class AttentionOptions(NetworkOptions):
    """Networks of a critic with a Gumbel attention."""

    tau: float = option(1.0, "temperature of the Gumbel attention (paper: 1)", above=0)
    initial: Literal["random", "identity", "ones"] = option(
        "random", "attention weights before training (App. D); random: about one half"
    )
