"""The algorithms that learn influence: ILVF-P, its ablation, ILVF-S and PRD."""

from dataclasses import dataclass
from typing import Literal

from ilvf import plugins
from ilvf.algorithms.options.large_teams import ChoiceOfNeighbours, LargeTeamOptions
from ilvf.algorithms.options.registry import algorithm
from ilvf.algorithms.options.training import PolicyConfig, SharingOptions
from ilvf.credit.options import ScoreOptions
from ilvf.errors import require
from ilvf.losses.options import AttentionPPOOptions
from ilvf.options import Options, option


@dataclass
class MixingOptions(Options):
    """How learned influence weights become Ŵ."""

    discretise: Literal["threshold", "bernoulli", "soft"] = option(
        "threshold", "how influence weights become Ŵ; the paper samples: bernoulli"
    )
    threshold: float = option(0.5, "c of threshold: Ŵ = 1[w ≥ c]", above=0, most=1)
    noise: bool | None = option(
        None, "Gumbel noise before discretising; null: bernoulli yes, threshold no"
    )
    tau: float = option(1.0, "temperature of the Gumbel attention (paper: 1)", above=0)
    initial_influence: Literal["random", "identity", "ones"] = option(
        "random", "W before training (App. D)"
    )


@dataclass
class RelationOptions(Options):
    """How a matrix of learned weights is read, and what critics regress."""

    orientation: Literal["influence", "attention"] = option(
        "influence", "row of Ŵ = acting agent; attention: the literal reading of eq. 10, transposed"
    )
    target: Literal["lambda", "mc"] = option(
        "lambda", "what V and Q regress: the λ-return, or mc, the discounted return (eq. 9)"
    )


@dataclass
class ILVFPOptions(AttentionPPOOptions, RelationOptions, SharingOptions):
    """What the LightningModule of ILVF-P and its relatives reads."""

    diagonal: bool = option(True, "every agent is credited with its own return (Ŵ_ii = 1)")
    draw: Literal["rollout", "epoch"] = option(
        "rollout", "sample Ŵ once per rollout, or afresh in every epoch"
    )


InfluenceWord = Literal["learned", "score", "ones", "identity", "reward_graph", "full_graph"]


def is_own_source(value: object) -> bool:
    """Is this a reference to an influence source, or a registered one?"""
    return plugins.is_reference(value) or value in plugins.registered(plugins.INFLUENCE)


def is_named_source(value: object) -> bool:
    """Is this a word of the library or a registered name, so that no file chooses the code?"""
    return not plugins.is_reference(value)


@algorithm("ilvf_p", "ILVFP")
@dataclass
class ILVFPConfig(LargeTeamOptions, ILVFPOptions, MixingOptions, PolicyConfig):
    """ILVF-P: every agent is credited with the returns that its action moves (the paper)."""

    title = "ILVF-P"
    source = "eqs. 7-11 of the paper, docs/concepts/credit.md"
    influence: InfluenceWord | str = option(
        "learned",
        "learned by the critic, score (its options: ilvf_s with algorithm.critic=influence), or "
        "fixed: ones (MAPPO), identity (IPPO-C), reward_graph (oracle), ...; or your own, "
        "package.module:function",
        also=is_own_source,
        confirm="imports code",
        harmless=is_named_source,
    )

    def check(self) -> None:
        super().check()
        for name in ("sparsity", "supervision"):
            require(
                self.neighbours is None or not getattr(self, name),
                f"{name}={getattr(self, name)} is for attention to all agents; leave it out, or "
                f"neighbours={self.neighbours}",
            )


@algorithm("no_inferring", "ILVFP")
@dataclass
class NoInferringConfig(ILVFPOptions, MixingOptions, PolicyConfig):
    """ILVF-P (no inferring): the influence is the attention over actions (App. B.3)."""

    title = "ILVF-P (no inferring)"
    source = "Sec. 5.3 and App. B.3 of the paper, docs/concepts/algorithms.md"


@algorithm("ilvf_s", "ILVFP")
@dataclass
class ILVFSConfig(LargeTeamOptions, ChoiceOfNeighbours, ScoreOptions, PolicyConfig):
    """ILVF-S: credit by a score test on the rollout, with Wiener weights (not in the paper)."""

    title = "ILVF-S"
    source = "docs/concepts/score_influence.md (not in the paper)"
    critic: Literal["state", "influence"] = option(
        "state", "values of the global state, or those of ILVF-P's critic (twice the cost)"
    )


@algorithm("prd", "ILVFP")
@dataclass
class PRDConfig(RelationOptions, PolicyConfig):
    """PRD-MAPPO: credit for the agents whose returns attend to one's action."""

    title = "PRD"
    source = "a baseline, docs/concepts/algorithms.md"
    threshold: float | None = option(
        0.05, "ε of the hard mask (papers: 0.01 to 0.2), null for the soft one", above=0, most=1
    )
