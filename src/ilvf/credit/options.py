"""Options of influence sources, each declared once. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from ilvf.options import Options, option


@dataclass
class ScoreOptions(Options):
    """The score test and what its evidence becomes; see `ScoreInfluence`."""

    prior: Literal["own", "team"] = option(
        "own", "Ŵ of an agent before the test finds anything: own return only, or the whole team's"
    )
    units: int = option(
        40, "independent units that a rollout is cut into: environments × time blocks", least=2
    )
    block: int = option(10, "fewest steps of a time block", least=1)
    evidence: float = option(
        4.5, "z at which a link, or the sum of the rest, counts by one half", above=0
    )
    test_memory: float = option(
        0.95, "decay of the test's sums from rollout to rollout", least=0, below=1
    )
    gradient_memory: float = option(
        0.9, "decay of the gradient's moments from rollout to rollout", least=0, below=1
    )
    averaging: float = option(
        4.0,
        "rollouts over whose updates the gradient's noise averages out; 1 weighs a link by the "
        "signal and noise of a single rollout",
        above=0,
    )
    residual: bool = option(
        True, "credit the sum of many weak effects too, once the test finds it (public goods)"
    )
