"""`TabularGame`: small cooperative games whose values, gradients and influence are exact (float64).

The parts: `game` (tables and policy), `values`, `gradients`, `influence`.
"""

from ilvf.envs.tabular.actor import TabularActor
from ilvf.envs.tabular.gradients import GameGradients
from ilvf.envs.tabular.influence import GameInfluence


class TabularGame(GameGradients, GameInfluence):
    """`G` Markov games with N agents, per-agent rewards and a factorised softmax policy.

    Arguments: see `Game`.
    """

    def actor(self) -> TabularActor:
        """The policy of a single game as a module that acts in `Tabular`.

        Raises:
            UsageError: more than one game.
        """
        return TabularActor(self)
