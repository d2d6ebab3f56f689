"""`SupervisedInfluence`: a learned influence that is pulled to the links that a test finds."""

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.credit.discretise import Discretise
from ilvf.credit.learned import LearnedInfluence
from ilvf.credit.score.source import ScoreInfluence
from ilvf.credit.sources import AgentSignals
from ilvf.errors import require
from ilvf.options.arguments import require_kind


class SupervisedInfluence(LearnedInfluence):
    """Ŵ from a critic's weights w, and evidence p that teaches these weights.

        Ŵ = discretise(w(s)),    p_ij = 1 − (1 − sigmoid(2 (Z_ij − 4.5))) (1 − q_i)

    An attention that is trained by value regression alone may drop a return that an action moves,
    and keep one that it does not. The score test finds links without a critic, but the same in all
    states. Here `ILVFAdvantage` writes p as `link_evidence` `[*B, T, N, N]` into each rollout, and
    `PPOLoss(..., supervision=k)` adds k times the cross-entropy between w and p to its loss. The
    influence keeps its dependence on the state. It is not in the paper.

    Args:
        test: the score test.
        discretise, orientation, diagonal, generator: see `LearnedInfluence`.
    """

    observes = True

    def __init__(
        self,
        test: ScoreInfluence,
        discretise: Discretise | None = None,
        *,
        orientation: str = "influence",
        diagonal: bool = True,
        generator: torch.Generator | None = None,
    ):
        require_kind("SupervisedInfluence", "test", test, ScoreInfluence, "a ScoreInfluence")
        require(
            test.neighbours is None,
            "SupervisedInfluence: test tells neighbours apart alone; leave out its neighbours=",
        )
        super().__init__(
            discretise, orientation=orientation, diagonal=diagonal, generator=generator
        )
        self.test = test

    def observe(self, rollout: TensorDictBase, signals: AgentSignals) -> None:
        """Test every pair on this rollout."""
        self.test.observe(rollout, signals)

    def evidence(self, like: Tensor) -> Tensor:
        """p `[*B, N, N]`, expanded without a copy, with the orientation of the weights."""
        p = self.oriented(self.test.found)
        return p.to(like).expand(*like.shape[:-1], len(p))

    def metrics(self) -> dict[str, Tensor]:
        return self.test.metrics()

    def matrices(self) -> dict[str, Tensor]:
        found = self.test.matrices()
        return {title: found[title] for title in found if title != "influence Ŵ"}
