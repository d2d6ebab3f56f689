"""What runs and influence matrices say: learning curves, scores against a known graph, the audit by intervention."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily

if TYPE_CHECKING:
    from ilvf.analysis.auditing import Audit, audit
    from ilvf.analysis.curves import bootstrap_interval, summarise, t_interval
    from ilvf.analysis.interventions import Interventions, intervene, states_at, visited_states
    from ilvf.analysis.scores import (
        auroc,
        average_precision,
        calibration_error,
        density,
        lower_share,
        off_diagonal,
    )

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
    "interventions": ["Interventions", "intervene", "states_at", "visited_states"],
    "auditing": ["Audit", "audit"],
}

__all__ = [
    "Audit",
    "Interventions",
    "audit",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "calibration_error",
    "density",
    "intervene",
    "lower_share",
    "off_diagonal",
    "states_at",
    "summarise",
    "t_interval",
    "visited_states",
]

__getattr__ = lazily(__name__, _PUBLIC)
