"""What all networks can be told; imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from ilvf.options import Options, option


@dataclass
class NetworkOptions(Options):
    """The networks of actors and critics."""

    hidden: int = option(64, "units of every hidden layer", least=1)
    depth: int = option(2, "hidden layers (f_h and Q of the attention critics have one)", least=1)
    activation: Literal["relu", "tanh", "elu"] = option("relu", "activation of hidden layers")
    hidden_norm: bool = option(False, "LayerNorm after hidden layers too (official MAPPO)")
    input_norm: Literal["layer", "none"] = option(
        "layer", "LayerNorm of inputs (paper, official MAPPO), or none, where their scale matters"
    )
    share: bool = option(False, "one network for all agents, whose identity enters as a bias")


@dataclass
class ActorOptions(NetworkOptions):
    """Networks with an output layer that starts small."""

    gain: float = option(0.01, "scale of the output layer's orthogonal initialisation", above=0)
