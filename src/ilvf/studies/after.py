"""Analyses of a study's finished runs, which `after:` of its yaml file names."""

from collections.abc import Mapping, Sequence
from typing import Any

from ilvf.errors import UsageError, require
from ilvf.options import Options, configure, nearest, shown
from ilvf.reports.options import InfluenceOptions

OVER_EPISODE = "influence_over_episode"
AFTER: dict[str, type[Options]] = {OVER_EPISODE: InfluenceOptions}  # name → its options


def require_after(names: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raise unless analyses are known and have these options.

    Args:
        names: of the study.
        options: name → options, of the scale.
    """
    for name in names:
        require(
            name in list(AFTER),
            f"after: {shown(name)} is not known; choose from {', '.join(AFTER)}"
            f"{nearest(str(name), list(AFTER))}",
        )
    for name, changed in options.items():
        require(
            name in names,
            f"after of the scale: the study has no {shown(name)}; list it in after of the study",
        )
        require(
            isinstance(changed, Mapping),
            f"after of the scale: {name} is not a mapping, found {shown(changed)}",
        )
        try:
            configure(AFTER[name], changed, name)
        except UsageError as error:
            raise UsageError(f"after of the scale: {error}") from error
