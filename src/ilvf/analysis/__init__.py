"""Analysis of runs and of influence: learning curves, scores, the audit by intervention."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, listing

if TYPE_CHECKING:
    from ilvf.analysis.auditing import Audit, audit
    from ilvf.analysis.curves import bootstrap_interval, summarise, t_interval
    from ilvf.analysis.distance import Ring, effects_by_distance, hops_between
    from ilvf.analysis.interventions import Interventions, intervene
    from ilvf.analysis.neighbours import Locality, locality
    from ilvf.analysis.scores import (
        auroc,
        average_precision,
        calibration_error,
        density,
        lower_share,
        off_diagonal,
    )
    from ilvf.analysis.states import states_at, visited_states

_PUBLIC = {
    "curves": ["bootstrap_interval", "summarise", "t_interval"],
    "scores": [
        "auroc",
        "average_precision",
        "calibration_error",
        "density",
        "lower_share",
        "off_diagonal",
    ],
    "neighbours": ["Locality", "locality"],
    "distance": ["Ring", "effects_by_distance", "hops_between"],
    "states": ["states_at", "visited_states"],
    "interventions": ["Interventions", "intervene"],
    "auditing": ["Audit", "audit"],
}

__all__ = [
    "Audit",
    "Interventions",
    "Locality",
    "Ring",
    "audit",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "calibration_error",
    "density",
    "effects_by_distance",
    "hops_between",
    "intervene",
    "locality",
    "lower_share",
    "off_diagonal",
    "states_at",
    "summarise",
    "t_interval",
    "visited_states",
]

__getattr__ = lazily(__name__, _PUBLIC)

__dir__ = listing(__all__)
