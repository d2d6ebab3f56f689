"""Credit assignment: influence, and the local advantages computed with it."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, listing, names_of

_PUBLIC = {
    "functional": ["local_advantage", "force_diagonal", "standardise"],
    "discretise": ["Threshold", "Bernoulli", "Soft"],
    "sparse": ["SparseInfluence"],
    "sources": ["InfluenceSource"],
    "learned": ["LearnedInfluence"],
    "fixed": ["FixedInfluence"],
    "score.source": ["ScoreInfluence"],
    "supervised": ["SupervisedInfluence"],
    "advantage": ["ILVFAdvantage"],
}

__all__ = names_of(_PUBLIC)

__getattr__ = lazily(__name__, _PUBLIC)

__dir__ = listing(__all__)

if TYPE_CHECKING:
    from ilvf.credit.advantage import ILVFAdvantage
    from ilvf.credit.discretise import Bernoulli, Soft, Threshold
    from ilvf.credit.fixed import FixedInfluence
    from ilvf.credit.functional import force_diagonal, local_advantage, standardise
    from ilvf.credit.learned import LearnedInfluence
    from ilvf.credit.score.source import ScoreInfluence
    from ilvf.credit.sources import InfluenceSource
    from ilvf.credit.sparse import SparseInfluence
    from ilvf.credit.supervised import SupervisedInfluence
