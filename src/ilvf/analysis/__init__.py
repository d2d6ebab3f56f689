"""What runs and influence matrices say: learning curves, scores against a known graph, the audit by intervention."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily

if TYPE_CHECKING:
    from ilvf.analysis.curves import bootstrap_interval, summarise, t_interval
    from ilvf.analysis.influence import (
        auroc,
        average_precision,
        calibration_error,
        density,
        lower_share,
        off_diagonal,
    )
    from ilvf.analysis.interventions import Interventions, intervene, states_at, visited_states
    from ilvf.analysis.verdict import Audit, audit

_HOME = {
    **dict.fromkeys(("bootstrap_interval", "summarise", "t_interval"), "curves"),
    **dict.fromkeys(
        ("auroc", "average_precision", "calibration_error", "density", "lower_share", "off_diagonal"), "influence"
    ),
    **dict.fromkeys(("Interventions", "intervene", "states_at", "visited_states"), "interventions"),
    **dict.fromkeys(("Audit", "audit"), "verdict"),
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

__getattr__ = lazily(__name__, _HOME)
