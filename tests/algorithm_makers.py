"""The on-policy algorithms on an environment of a test, each made from an actor."""

from ilvf.algorithms import ILVFP, IPPO, MAPPO
from ilvf.credit import LearnedInfluence, ScoreInfluence, Threshold
from ilvf.modules import (
    ActionInfluenceCritic,
    InfluenceCritic,
    LocalCritic,
    RelevanceCritic,
    StateCritic,
)


class Makers:
    """Functions from an actor to an algorithm with small critics.

    Args:
        make_env: of the environment.
        sizes: agents, numbers of an observation and of a state.
        network: options of the critics.
        training: options of the algorithms.
    """

    def __init__(self, make_env, sizes, network, training):
        self.make_env = make_env
        self.sizes = sizes
        self.network = network
        self.training = training

    def with_values(self, kind, critic, actor, **more):
        """An algorithm whose critic has values alone."""
        return kind(
            self.make_env, actor, critic(*self.sizes, **self.network), **self.training, **more
        )

    def with_actions(self, critic, actor, **more):
        """ILVF-P whose critic reads the actions too."""
        critic = critic(*self.sizes, actor.actions, **self.network)
        return ILVFP(self.make_env, actor, critic, **self.training, **more)

    def ilvf_p(self, actor, **options):
        return self.with_actions(InfluenceCritic, actor, **options)

    def no_inferring(self, actor):
        return self.with_actions(ActionInfluenceCritic, actor)

    def ilvf_s(self, actor):
        return self.with_values(ILVFP, StateCritic, actor, influence=ScoreInfluence(actor))

    def prd(self, actor):
        critic = RelevanceCritic(*self.sizes, actor.actions, **self.network)
        influence = LearnedInfluence(Threshold(0.05), writer=critic.relevance_module())
        return ILVFP(self.make_env, actor, critic, influence=influence, **self.training)

    def mappo(self, actor):
        return self.with_values(MAPPO, StateCritic, actor)

    def ippo(self, actor):
        return self.with_values(IPPO, LocalCritic, actor)

    def ippo_c(self, actor):
        return self.with_values(IPPO, StateCritic, actor)

    def by_name(self):
        """Name of a recipe → function."""
        names = ("ilvf_p", "no_inferring", "ilvf_s", "prd", "mappo", "ippo")
        return {name: getattr(self, name) for name in names}
