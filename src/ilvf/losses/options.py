"""Coefficients of the losses; imports nothing heavy."""

from dataclasses import dataclass

from ilvf.options import Options, option

SUPERVISION = 0.3  # of ILVF-P by default; chosen on seeds 0-4 of Encircle with 10 agents
SUPERVISED_SHARE = 0.25  # teaches a supervised attention; chosen on Encircle, 20 agents, seeds 0-2
EVIDENCE_HINT = "ILVFAdvantage writes it if its influence is a SupervisedInfluence"
WEIGHT_HINT = "ILVFAdvantage with the critic's value_module() writes it; or give attention_share=1"


@dataclass
class PPOOptions(Options):
    """Clipped surrogate and value regression."""

    clip: float = option(0.2, "ε of the clipped surrogate", above=0)
    entropy: float = option(0.01, "coefficient of the entropy bonus", least=0)
    value: float = option(1.0, "coefficient of the value losses", least=0)
    value_clip: float | None = option(
        0.2,
        "radius of the value clipping in normalised units (of the reward without value_norm), "
        "null for none",
        above=0,
    )
    huber_delta: float = option(10.0, "δ of the Huber loss (Table 1: 10)", above=0)


@dataclass
class AttentionPPOOptions(PPOOptions):
    """PPO with terms that act on the attention."""

    sparsity: float = option(
        0.0,
        "weight of the mean off-diagonal attention, a prior on few influences; not in the paper",
        least=0,
    )
    supervision: float | None = option(
        None,
        "pull of the attention to the links that a score test finds in each rollout; null: "
        f"{SUPERVISION} where ilvf_p learns attention to all agents, else 0; the paper: 0",
        least=0,
    )
    attention_share: float | None = option(
        None,
        "share of a minibatch (frames, or sequences of a recurrent actor; one at least) that "
        "teaches the attention and Q; V learns from all, "
        "with the weights of their collection in the others; null: "
        f"{SUPERVISED_SHARE} where ilvf_p supervises its attention, else 1; the paper: 1",
        above=0,
        most=1,
    )


@dataclass
class TDOptions(Options):
    """Temporal-difference regression of the off-policy losses."""

    gamma: float = option(0.95, "discount", least=0, most=1)
    normalize_values: bool = option(True, "normalise values by the running moments of the rewards")
    huber_delta: float | None = option(
        None, "δ of the Huber loss, null for the squared error", above=0
    )
    burn_in: int = option(
        0,
        "recurrent: steps before a chunk that warm up the hidden states, without loss or gradient",
        least=0,
    )


@dataclass
class QMIXOptions(TDOptions):
    """The loss of QMIX and VDN."""

    double: bool = option(True, "the learned network chooses the next action, the target values it")


@dataclass
class MADDPGOptions(TDOptions):
    """The loss of MADDPG."""

    temperature: float = option(
        1.0, "discrete actions: temperature of the Gumbel-softmax that carries a gradient", above=0
    )
    entropy: float = option(
        0.05,
        "discrete actions: coefficient of the entropy bonus; with less, actors follow their "
        "critics' errors",
        least=0,
    )
