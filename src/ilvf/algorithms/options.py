"""What every algorithm can be told. A hyper-parameter is declared here once; imports nothing heavy.

`NAMEOptions` are what a LightningModule reads. `NAMEConfig`, declared by `@algorithm(NAME)`, adds
what its parts are built from: networks, and words that choose a part.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from ilvf import plugins
from ilvf.credit.options import ScoreOptions
from ilvf.errors import require
from ilvf.losses.options import AttentionPPOOptions, MADDPGOptions, PPOOptions, QMIXOptions
from ilvf.modules.options import GaussianOptions, ImageOptions, PolicyOptions, SetOptions
from ilvf.options import Options, nearest, option

ALGORITHMS: dict[str, "type[AlgorithmConfig]"] = {}
CLASSES: dict[str, str] = {}  # LightningModule → module of this package that defines it
C = TypeVar("C", bound="type[AlgorithmConfig]")


def algorithm(name: str, module: str, build: str | None = None) -> Callable[[C], C]:
    """Declare the config of an algorithm.

    A function `build(config, make_env, env, seed)` returns the LightningModule. The command line,
    the tests and the documentation find it by this declaration.

    Args:
        name: NAME, of the file, the recipe and the command.
        module: class of the LightningModule; the first algorithm that declares it defines it.
        build: "package.module:function" of an algorithm of another package; by default
            "ilvf.algorithms.NAME:build".
    """

    def register(config: C) -> C:
        require(
            name not in ALGORITHMS or ALGORITHMS[name].__module__ == config.__module__,
            f"the algorithm {name!r} is declared already; {config.__name__} needs another name",
        )
        ALGORITHMS[name] = config
        config.declared = name
        config.builder = build or f"ilvf.algorithms.{name}:build"
        if build is None:
            CLASSES.setdefault(module, name)
        return config

    return register


def config_of(name: str) -> "type[AlgorithmConfig]":
    """The config dataclass of an algorithm; imports the package that has registered it.

    Raises:
        UsageError: no algorithm has this name.
    """
    if name not in ALGORITHMS:
        plugins.import_modules()
    found = plugins.registered(plugins.ALGORITHMS)
    if name not in ALGORITHMS and name in found:
        config_class(found[name])
    known = sorted({*ALGORITHMS, *found})
    require(
        name in ALGORITHMS,
        f"the algorithm {name!r} is not known; "
        f"choose one of {', '.join(known)}{nearest(name, known)}",
    )
    return ALGORITHMS[name]


def name_of(word: str) -> str:
    """The declared name that the word of a command line means.

    Args:
        word: a name, or `package.module:CONFIG`, which is imported; no file may name code so.

    Raises:
        UsageError: it names no config.
    """
    return config_class(word).declared if plugins.is_reference(word) else word


def config_class(reference: str) -> "type[AlgorithmConfig]":
    """The config that `package.module:CONFIG` names, which its module has declared."""
    found = plugins.load(reference, "the algorithm")
    require(
        isinstance(found, type) and found in ALGORITHMS.values(),
        f"the algorithm {reference} is no config; declare it by "
        '@algorithm(NAME, CLASS, build="package.module:function")',
    )
    return found


# ---------------------------------------------------------------------- shared by all algorithms
def check_temperature(temperature: float, deterministic: bool) -> None:
    """Raise if the most likely actions, which no temperature changes, are to have one."""
    require(
        temperature == 1 or not deterministic,
        f"eval_temperature={temperature:g} is for sampled actions; give eval_deterministic=false "
        "too",
    )


@dataclass
class TrainingOptions(Options):
    """The optimiser, the environments and the evaluation."""

    lr: float = option(1e-3, "learning rate of Adam; the paper's is 8e-5", above=0)
    lr_end: float | None = option(
        None, "learning rate of the last iteration, approached linearly; null keeps lr", least=0
    )
    adam_eps: float = option(1e-5, "ε in Adam's denominator", above=0)
    max_grad_norm: float = option(10.0, "clip of the gradient's norm, per agent", above=0)
    num_envs: int = option(64, "environments per process", least=1)
    rollout_steps: int = option(50, "steps of each environment per iteration", least=1)
    chunk: int = option(
        10, "recurrent: steps through which gradients flow, a part of rollout_steps", least=1
    )
    eval_every: int = option(
        10, "iterations between evaluations; the last is evaluated too", least=1
    )
    eval_episodes: int = option(32, "episodes of an evaluation, run side by side", least=1)
    eval_steps: int | None = option(
        None, "longest evaluation episode, by default the environment's horizon", least=1
    )
    eval_deterministic: bool = option(True, "evaluate the most likely actions; false samples")

    def frames_of(self, iterations: int) -> int:
        """Environment frames of a run of one process."""
        return iterations * self.num_envs * self.rollout_steps

    def check(self) -> None:
        super().check()
        require(
            self.lr_end is None or self.lr_end <= self.lr,
            f"lr_end={self.lr_end} must be between 0 and lr={self.lr}, or null",
        )

    def check_chunks(self) -> None:
        """What recurrent networks need besides: rollouts that consist of whole chunks."""
        steps = self.rollout_steps
        require(
            steps % self.chunk == 0,
            f"chunk={self.chunk} does not divide rollout_steps={steps}, which recurrent networks "
            "need; choose another chunk",
        )


@dataclass
class OnPolicyOptions(PPOOptions, TrainingOptions):
    """PPO with per-agent values."""

    normalize: Literal["agent", "global", "none"] = option(
        "agent", "standardise advantages once per rollout: per agent, over all agents, or not"
    )
    gamma: float = option(0.99, "discount", least=0, most=1)
    lmbda: float = option(0.95, "λ of GAE", least=0, most=1)
    value_norm: bool = option(True, "normalise value targets per agent")
    min_variance: float = option(
        1e-6, "floor of the value targets' variance (official MAPPO: 1e-2)", above=0
    )
    epochs: int = option(5, "passes over a rollout", least=1)
    minibatches: int = option(4, "minibatches of each pass", least=1)
    eval_temperature: float = option(
        1.0, "of sampled actions, π^(1/T); below 1 is more certain, 1 the policy itself", above=0
    )

    def check(self) -> None:
        super().check()
        check_temperature(self.eval_temperature, self.eval_deterministic)
        frames = self.num_envs * self.rollout_steps
        require(
            self.minibatches <= frames,
            f"minibatches={self.minibatches} is more than the {frames} frames of a rollout",
        )

    def check_chunks(self) -> None:
        super().check_chunks()
        chunks = self.num_envs * self.rollout_steps // self.chunk
        require(
            self.minibatches <= chunks,
            f"minibatches={self.minibatches} is more than the {chunks} chunks of a rollout",
        )


@dataclass
class ShareOptions(Options):
    """Which part of the team's reward an agent gets."""

    reward: Literal["own", "team", "split"] = option(
        "own",
        "what an agent gets: its own reward; team: an equal share of the sum of all; split: its "
        "part of this sum, by a learned model (not in the paper)",
    )


@dataclass
class SharingOptions(ShareOptions, OnPolicyOptions):
    """PPO whose agents have returns of their own."""


@dataclass
class OffPolicyOptions(TrainingOptions):
    """Learning from a replay buffer."""

    num_envs: int = option(16, "environments per process", least=1)
    tau: float = option(
        0.01,
        "share by which targets follow after every step, if target_every is null",
        above=0,
        most=1,
    )
    target_every: int | None = option(
        None, "optimiser steps between copies of the networks into their targets", least=1
    )
    updates: int = option(40, "optimiser steps of an iteration", least=1)
    batch_size: int = option(
        256,
        "transitions of each step, per process; recurrent: rounded up to whole chunks",
        least=1,
    )
    capacity: int = option(50_000, "transitions in the replay buffer, per process", least=1)
    warmup: int = option(1_600, "frames with random actions before learning", least=0)

    def check(self) -> None:
        super().check()
        need = max(self.num_envs * self.rollout_steps, self.batch_size)
        require(
            self.capacity >= need,
            f"capacity={self.capacity} is too small for a rollout and a minibatch; it needs {need}",
        )

    def frames_of(self, iterations: int) -> int:
        """Those of the iterations, and before them the rollouts of random actions.

        These fill the buffer with `warmup` frames, and with so many that the first iteration's
        rollout completes a minibatch.
        """
        rollout = self.num_envs * self.rollout_steps
        needed = max(self.warmup, self.batch_size - rollout, 0)
        return super().frames_of(iterations + -(-needed // rollout))


@dataclass
class AlgorithmConfig(SetOptions, ImageOptions, PolicyOptions, TrainingOptions):
    """What the config of every algorithm has."""

    iterations: ClassVar[int]  # default of trainer.max_epochs
    continuous: ClassVar[bool] = True  # takes continuous actions too
    several: ClassVar[bool] = True  # takes actions of several choices too
    title: ClassVar[str]  # name in figures and tables
    source: ClassVar[str] = ""  # where it is explained, for descriptions in MLflow
    declared: ClassVar[str]  # its name
    builder: ClassVar[str]  # "module:function" that builds it


# ---------------------------------------------------------------------- on-policy
@dataclass
class OnPolicyConfig(OnPolicyOptions, AlgorithmConfig):
    """One epoch is num_envs × rollout_steps frames per process; the default is 100 k frames."""

    iterations = 31


@dataclass
class PolicyConfig(GaussianOptions, ShareOptions, OnPolicyConfig):
    """On-policy algorithms that take all kinds of actions."""


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


@dataclass
class NeighbourOptions(Options):
    """How many agents the critic and the credit of an agent see."""

    neighbours: int | None = option(
        None,
        "agents beside the own one that each critic sees and the credit tells apart, the nearest "
        "in the environment's graphs: for large teams; null is all",
        least=1,
    )


@dataclass
class ChoiceOfNeighbours(NeighbourOptions):
    """Who chooses the agents that a critic of values alone sees."""

    neighbours_by: Literal["graph", "attention"] = option(
        "graph",
        "agents that each critic sees: graph, the nearest in the environment's graphs; attention, "
        "those to which it learns to attend, others in every state",
    )

    def check(self) -> None:
        super().check()
        require(
            self.neighbours_by == "graph" or self.neighbours is not None,
            f"neighbours_by={self.neighbours_by} chooses neighbours, of which neighbours=null "
            "makes all; give neighbours=K",
        )


@dataclass
class LargeTeamOptions(NeighbourOptions):
    """What makes critics of large teams cheaper."""

    shared_first: bool = option(False, "critics share their first layers: for large teams")

    def check(self) -> None:
        super().check()
        require(
            self.neighbours is None or not self.shared_first,
            f"neighbours={self.neighbours} and shared_first=true: critics that share their first "
            "layers see all agents; leave out one of them",
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

    def check(self) -> None:
        super().check()
        require(
            self.neighbours_by == "graph" or self.critic == "state",
            f"neighbours_by={self.neighbours_by} is for critic=state; the weights of the other "
            "are those of given neighbours",
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


@algorithm("mappo", "MAPPO")
@dataclass
class MAPPOConfig(LargeTeamOptions, ChoiceOfNeighbours, PolicyConfig):
    """MAPPO: every agent is credited with everything (Ŵ = 1)."""

    title = "MAPPO"
    source = "App. B.2 of the paper, docs/concepts/algorithms.md"
    critic: Literal["agents", "central"] = option(
        "agents", "agents: a value per agent, advantages summed; central: one value of the team"
    )

    def check(self) -> None:
        super().check()
        require(
            self.neighbours is None or self.critic == "agents",
            f"neighbours={self.neighbours} is for critic=agents; one value of the team sees all",
        )


@algorithm("ippo", "IPPO")
@dataclass
class IPPOConfig(ChoiceOfNeighbours, PolicyConfig):
    """IPPO: every agent learns from its own return alone (Ŵ = I); IPPO-C with critic=state."""

    title = "IPPO"
    source = "App. B.2 of the paper, docs/concepts/algorithms.md"
    critic: Literal["observation", "state"] = option(
        "observation", "observation: IPPO; state: IPPO-C, values of the global state"
    )

    def check(self) -> None:
        super().check()
        require(
            self.neighbours is None or self.critic == "state",
            f"neighbours={self.neighbours} is for critic=state; IPPO's critics see one agent each",
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
class OffPolicyConfig(OffPolicyOptions, AlgorithmConfig):
    """One epoch is num_envs × rollout_steps frames per process; the default is 100 k frames."""

    iterations = 123


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
