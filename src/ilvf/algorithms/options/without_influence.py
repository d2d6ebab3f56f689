"""The algorithms that learn no influence: MAPPO, IPPO, COMA, QMIX, VDN and MADDPG."""

from dataclasses import dataclass
from typing import Literal

from ilvf.algorithms.options.large_teams import ChoiceOfNeighbours, LargeTeamOptions
from ilvf.algorithms.options.registry import algorithm
from ilvf.algorithms.options.training import (
    OffPolicyConfig,
    OffPolicyOptions,
    OnPolicyConfig,
    OnPolicyOptions,
    PolicyConfig,
)
from ilvf.errors import require
from ilvf.losses.options import MADDPGOptions, QMIXOptions
from ilvf.options import Options, option


@algorithm("mappo", "MAPPO")
@dataclass
class MAPPOConfig(LargeTeamOptions, ChoiceOfNeighbours, PolicyConfig):
    """MAPPO: every agent is credited with everything (Ŵ = 1)."""

    title = "MAPPO"
    source = "App. B.2 of the paper, docs/concepts/algorithms.md"
    critic: Literal["agents", "central", "influence"] = option(
        "agents",
        "agents: a value per agent, advantages summed; central: one value of the team; influence: "
        "a value per agent by ILVF-P's critic",
    )

    def check(self) -> None:
        super().check()
        central = self.critic == "central"
        require(
            self.neighbours is None or not central,
            f"neighbours={self.neighbours} is for values per agent; critic=central sees all",
        )
        require(
            not (self.shared_first and central),
            "shared_first=true is for values per agent; critic=central is one network",
        )


@algorithm("ippo", "IPPO")
@dataclass
class IPPOConfig(ChoiceOfNeighbours, PolicyConfig):
    """IPPO: every agent learns from its own return alone (Ŵ = I); IPPO-C with critic=state."""

    title = "IPPO"
    source = "App. B.2 of the paper, docs/concepts/algorithms.md"
    critic: Literal["observation", "state", "influence"] = option(
        "observation",
        "observation: IPPO; state: IPPO-C, values of the global state; influence: IPPO-C with "
        "ILVF-P's critic",
    )

    def check(self) -> None:
        super().check()
        require(
            self.neighbours is None or self.critic != "observation",
            f"neighbours={self.neighbours} is for critic=state or influence; IPPO's critics see "
            "one agent each",
        )


@dataclass
class COMAOptions(OnPolicyOptions):
    """What the LightningModule of COMA reads."""

    lmbda: float = option(0.8, "λ of the return that Q regresses (COMA's paper)", least=0, most=1)
    value_clip: float | None = option(
        None, "radius of the clipping of Q; 0.2 made teams of 20 unlearn on Encircle", above=0
    )


@algorithm("coma", "COMA")
@dataclass
class COMAConfig(COMAOptions, OnPolicyConfig):
    """COMA: credit for the difference to what the policy would have got on average."""

    title = "COMA"
    continuous = False
    several = False
    source = "a baseline, docs/concepts/algorithms.md"


# ---------------------------------------------------------------------- off-policy
@dataclass
class ExplorationOptions(Options):
    """ε-greedy exploration that decays linearly."""

    epsilon_start: float = option(1.0, "share of random actions at the start", least=0, most=1)
    epsilon_end: float = option(0.05, "share of random actions at the end", least=0, most=1)
    epsilon_frames: int = option(50_000, "frames in which ε falls from start to end", least=0)


@dataclass
class QMIXTrainingOptions(ExplorationOptions, QMIXOptions, OffPolicyOptions):
    """What the LightningModule of QMIX reads."""


@algorithm("qmix", "QMIX")
@dataclass
class QMIXConfig(QMIXTrainingOptions, OffPolicyConfig):
    """QMIX and VDN: values of every agent, mixed to the team's value."""

    title = "QMIX"
    continuous = False
    several = False
    source = "App. B.2 of the paper, docs/concepts/algorithms.md"
    mixer: Literal["qmix", "vdn"] = option(
        "qmix", "how agents' values become the team's: qmix (monotone in each) or vdn (their sum)"
    )
    embed: int = option(32, "units of the mixing network of qmix", least=1)


@dataclass
class NoiseOptions(Options):
    """Exploration by noise that decays linearly."""

    noise: Literal["gaussian", "ou"] = option(
        "gaussian",
        "continuous actions: exploration noise, independent or Ornstein-Uhlenbeck",
    )
    noise_start: float = option(
        0.5, "continuous actions: its size at the start, in units of half their range", least=0
    )
    noise_end: float = option(0.1, "continuous actions: its size at the end", least=0)
    noise_frames: int = option(
        50_000, "continuous actions: frames in which it goes from start to end", least=0
    )


@dataclass
class MADDPGTrainingOptions(NoiseOptions, MADDPGOptions, OffPolicyOptions):
    """What the LightningModule of MADDPG reads."""

    actor_lr: float | None = option(
        None, "learning rate of the actors, null for the same as lr", above=0
    )


@algorithm("maddpg", "MADDPG")
@dataclass
class MADDPGConfig(MADDPGTrainingOptions, OffPolicyConfig):
    """MADDPG: every agent ascends its own critic of the joint action."""

    several = False
    title = "MADDPG"
    source = "App. B.2 of the paper, docs/concepts/algorithms.md"
