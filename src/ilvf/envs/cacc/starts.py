"""Starts of an episode: the initial headway or speed as a multiple of the wanted one."""

from collections.abc import Iterable
from typing import Any

from ilvf.errors import require, require_choice

EVALUATION_RATIOS = (1.58, 1.748, 1.916, 2.084, 2.252, 2.42)  # the reference's evaluation


def fixed_ratios(ratio: Any) -> tuple[float, ...]:
    """The option `ratio` as numbers.

    Args:
        ratio: None for random starts, `evaluation` for the six of `EVALUATION_RATIOS`, a positive
            number, or several.

    Returns:
        The ratios; an empty tuple for random starts.

    Raises:
        UsageError: the option is none of these.
    """
    if ratio is None:
        return ()
    if isinstance(ratio, str):
        require_choice("ratio", ratio, ("evaluation",))
        return EVALUATION_RATIOS
    ratios = _numbers(ratio if isinstance(ratio, Iterable) else [ratio])
    require(
        bool(ratios) and min(ratios) > 0,
        f"ratio={ratio} must be one or more positive numbers, such as 2.0",
    )
    return ratios


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    """The values as floats; an empty tuple if one of them is not a number."""
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return ()
