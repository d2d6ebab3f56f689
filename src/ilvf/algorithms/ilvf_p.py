"""ILVF-P: PPO with advantages mixed by a learned, state-dependent influence (paper, Sec. 4)."""

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf import plugins
from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.on_policy import OnPolicy
from ilvf.algorithms.options import ILVFPConfig, ILVFPOptions, MixingOptions
from ilvf.algorithms.parts import (
    influence_critic,
    neighbours_of,
    ppo_loss,
    stochastic_actor,
    value_options,
)
from ilvf.analysis import auroc, density
from ilvf.analysis.scores import once
from ilvf.credit import (
    Bernoulli,
    FixedInfluence,
    InfluenceSource,
    LearnedInfluence,
    ScoreInfluence,
    Soft,
    SupervisedInfluence,
    Threshold,
)
from ilvf.credit.discretise import Discretise
from ilvf.credit.estimators import GAEWithReturns, gae, local_estimator
from ilvf.credit.sparse import SparseInfluence
from ilvf.distributed import mean_over_ranks
from ilvf.errors import UsageError, require
from ilvf.losses.options import SUPERVISED_SHARE, SUPERVISION
from ilvf.modules import (
    ActionInfluenceCritic,
    InfluenceCritic,
    RelevanceCritic,
    StateCritic,
)
from ilvf.modules.actors.network import StochasticActor
from ilvf.options import configure, select

Critic = InfluenceCritic | ActionInfluenceCritic | RelevanceCritic | StateCritic
GRAPHS = {"reward_graph": "reward_graph", "full_graph": "value_graph"}  # word → attribute of an env
FIXED = ("ones", "identity", *GRAPHS)  # words of a Ŵ that is no source
MEASURED = {"reward": "reward_graph", "full": "value_graph"}  # metric → attribute of an env


class ILVFP(OnPolicy):
    """ILVF-P from its parts.

    With an `InfluenceCritic` and `influence=None` the influence is learned; with an
    `ActionInfluenceCritic` this is ILVF-P (no inferring). With a `StateCritic` and a fixed graph it
    is MAPPO (ones), IPPO-C (identity), or the oracle (the known graph).

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, critic: networks.
        influence: an `InfluenceSource`, a fixed Ŵ `[N, N]` (row = acting agent), or None to learn
            it from the critic's weights.
        discretise: `Threshold`, `Bernoulli` or `Soft`, for `influence=None`.
        state_key: what critics read: `state`, or `observation` for an environment without states.
        seed: of the environments and of all other random numbers.
        **options: fields of `ILVFPOptions`.
    """

    options: ILVFPOptions

    def __init__(
        self,
        make_env: EnvFactory,
        actor: StochasticActor,
        critic: Critic,
        *,
        influence: Tensor | InfluenceSource | None = None,
        discretise: Discretise | None = None,
        state_key: str = "state",
        seed: int = 0,
        **options: Any,
    ):
        given = configure(ILVFPOptions, options, "ILVFP")
        require(
            influence is None or not given.supervision,
            f"supervision={given.supervision} teaches a learned influence; "
            "leave it out, or influence=",
        )
        if influence is None:
            influence = learned_influence(actor, discretise, given, attended(critic))
        loss = ppo_loss(actor, critic, given, state_key, actor.arguments["n_agents"])
        inner = GAEWithReturns if given.target == "mc" else gae
        advantage = local_estimator(
            critic,
            loss.value_norm,
            influence,
            inner=inner(given.gamma, given.lmbda),
            normalize=given.normalize,
            state_key=state_key,
        )
        redraw = given.draw == "epoch" and advantage.source.reads_weights
        super().__init__(make_env, loss, advantage, given, seed=seed, redraw=redraw)
        if advantage.source.observes:
            self.influence_source = advantage.source  # a submodule: checkpoints save its buffers
        self.attention: Tensor | None = None  # w, mean over the last rollout, row = critic
        self.influence: Tensor | None = None  # Ŵ, mean over it, row = acting agent
        self.known_graphs: dict[str, Tensor] = {}  # metric → graph that the environment knows

    def on_fit_start(self) -> None:
        super().on_fit_start()
        for name, graph in MEASURED.items():
            known = getattr(self.env, graph, None)
            if isinstance(known, Tensor):  # a batch of single environments has a list
                self.known_graphs[name] = known

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        """Adds the density of Ŵ and, where the environment knows the truth, how well w finds it."""
        keys = self.advantage.tensor_keys
        measures = super().measure(rollout)
        influence = self.advantage.source.drawn(rollout[keys.influence])
        sparse = isinstance(influence, SparseInfluence)
        measures["influence/density"] = influence.density() if sparse else density(influence)
        measures |= self.advantage.source.metrics()
        weight = rollout.get(keys.influence_weight, None)
        if weight is None:
            return measures
        neighbours = attended(self.loss.critic)
        if neighbours is not None:
            weight = SparseInfluence(neighbours, weight, by_return=True)
            measures["attention/mean"] = mean_over_ranks(weight.value.mean())
        self.attention = mean_over_ranks(mean_matrix(weight).T)
        self.influence = mean_over_ranks(mean_matrix(influence)).to(self.attention.dtype)
        if neighbours is not None:
            return measures  # pairs without a weight cannot be ranked
        measures["attention/mean"] = self.attention.mean()
        for name, graph in self.known_graphs.items():
            measures[f"attention/auroc_{name}"] = auroc(self.attention, graph)
        return measures

    def matrices(self) -> dict[str, Tensor]:
        """Title → what was learned about influence, `[N, N]`, row = acting agent."""
        found = {}
        if self.attention is not None and self.influence is not None:
            found = {"attention w": self.attention.T, "influence Ŵ": self.influence}
        return found | self.advantage.source.matrices()


def attended(critic: Any) -> Tensor | None:
    """The neighbours `[N, K]` to which a critic attends; None for all agents, or no attention."""
    return critic.neighbours if isinstance(critic, InfluenceCritic) else None


def mean_matrix(pairs: Tensor | SparseInfluence) -> Tensor:
    """Weights of pairs, averaged over a rollout, `[N, N]`."""
    if isinstance(pairs, SparseInfluence):
        return pairs.mean().dense()
    return once(pairs).flatten(0, -3).mean(0)


def learned_influence(
    actor: StochasticActor,
    discretise: Discretise | None,
    options: ILVFPOptions,
    neighbours: Tensor | None = None,
) -> LearnedInfluence:
    """Ŵ from the critic's weights; with `supervision` a score test teaches these."""
    reading: dict[str, Any] = {"orientation": options.orientation, "diagonal": options.diagonal}
    if options.supervision:
        return SupervisedInfluence(ScoreInfluence(actor), discretise=discretise, **reading)
    return LearnedInfluence(discretise, neighbours=neighbours, **reading)


def build(config: ILVFPConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> ILVFP:
    """ILVF-P, or one of the ends of its family, as a config describes it."""
    actor = stochastic_actor(config, env)
    neighbours = neighbours_of(config, env)
    shared: dict[str, Any] = {"shared_first": config.shared_first}
    critic: Critic
    influence = influence_of(config.influence, env, actor, neighbours)
    if needs_weights(config.influence, influence):
        attention = {"tau": config.tau, "initial": config.initial_influence}
        critic = influence_critic(config, env, actor, **attention, **shared)
    else:
        networks = {**value_options(config, env), "neighbours": neighbours}
        critic = StateCritic(env.n_agents, env.state_dim, **shared, **networks)
    return ILVFP(
        make_env,
        actor,
        critic,
        influence=influence,
        discretise=discretisation(config),
        seed=seed,
        **{**select(config, ILVFPOptions), **teaching(config)},
    )


def teaching(config: ILVFPConfig) -> dict[str, float]:
    """k of the supervision, and the share of the frames that teach the attention.

    As given, or `SUPERVISION` where Ŵ is attention to all agents, and `SUPERVISED_SHARE` with it.
    """
    supervision, share = config.supervision, config.attention_share
    if supervision is None:
        attends_to_all = config.influence == "learned" and config.neighbours is None
        supervision = SUPERVISION if attends_to_all else 0.0
    if share is None:
        share = SUPERVISED_SHARE if supervision else 1.0
    return {"supervision": supervision, "attention_share": share}


def influence_of(
    word: str,
    env: EnvBase,
    actor: StochasticActor,
    neighbours: Tensor | None = None,
) -> Tensor | InfluenceSource | None:
    """The source of a config's word: Ŵ `[N, N]`, row = acting agent, or None for `learned`.

    With `neighbours` `[N, K]` a fixed Ŵ mixes sparsely, and the score test tells these apart.
    """
    if word == "learned":
        return None
    if word == "score":
        return ScoreInfluence(actor, neighbours=neighbours)
    if word not in FIXED:
        return own_source(word, env, actor, neighbours)
    graph = fixed_graph(word, env)
    return graph if neighbours is None else FixedInfluence(graph, sparse=True)


def fixed_graph(word: str, env: EnvBase) -> Tensor:
    """Ŵ `[N, N]` of a config's word.

    Graphs of an environment have the returns as rows, so they are transposed.
    """
    eye = torch.eye(env.n_agents, dtype=torch.bool)
    if word == "ones":
        return torch.ones(env.n_agents, env.n_agents)
    if word == "identity":
        return eye.float()
    require(
        hasattr(env, GRAPHS[word]),
        f"algorithm.influence={word}: {type(env).__name__} does not know its {GRAPHS[word]}",
    )
    return (getattr(env, GRAPHS[word]).T | eye).float()


def needs_weights(word: str, influence: Tensor | InfluenceSource | None) -> bool:
    """Does the critic learn weights: because Ŵ is made of them, or to be shown beside it?"""
    reads = isinstance(influence, InfluenceSource) and influence.reads_weights
    return word in ("learned", "score") or reads


def own_source(
    word: str, env: EnvBase, actor: StochasticActor, neighbours: Tensor | None
) -> Tensor | InfluenceSource:
    """What `package.module:function`, or a registered name, returns for an environment and actor.

    Raises:
        UsageError: it cannot be imported or called, or returns something else.
    """
    key = f"algorithm.influence={word}"
    function = plugins.load(plugins.reference_of(word, plugins.INFLUENCE), "algorithm.influence")
    require(callable(function), f"{key} is no function; it must return an InfluenceSource")
    try:
        found = function(env=env, actor=actor)
    except Exception as error:  # code of a user raises anything
        reason = plugins.in_words(error)
        raise UsageError(f"{key} cannot be called with env= and actor=: {reason}") from error
    require(
        isinstance(found, Tensor | InfluenceSource),
        f"{key} returns {type(found).__name__}, need an InfluenceSource or a tensor [N, N]",
    )
    k = None if neighbours is None else neighbours.shape[1] - 1
    require(
        k is None or not isinstance(found, LearnedInfluence) or found.neighbours is not None,
        f"{key} reads the weights of all agents, and algorithm.neighbours={k} leaves those of the "
        "neighbours; give it LearnedInfluence(neighbours=nearest_agents(env, env.n_agents, K)) of "
        "ilvf.envs.nearest, or leave out algorithm.neighbours",
    )
    return found


def discretisation(config: MixingOptions) -> Discretise:
    """The part that turns weights into Ŵ. `noise=None` is the default of each part."""
    if config.discretise == "soft":
        return Soft()
    if config.discretise == "bernoulli":
        return Bernoulli(noise=config.noise is not False, tau=config.tau)
    return Threshold(config.threshold, noise=config.noise is True, tau=config.tau)
