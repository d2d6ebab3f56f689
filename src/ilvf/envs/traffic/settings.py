"""Options of traffic environments, checked."""

import math
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from ilvf.envs.options import SignalOptions
from ilvf.errors import require
from ilvf.options import Options, configure

O = TypeVar("O", bound=Options)
PATHS = ("net_file", "table", "tripinfo")  # options that may also be given as pathlib's paths


def checked_options(cls: type[O], given: Mapping[str, Any], of: str) -> O:
    """`configure(cls, given, of)`; the steps and the reward are checked as well.

    Raises:
        UsageError: an unknown option, a value out of bounds, or options that exclude each other.
    """
    values = dict(given)
    for name in PATHS:
        if isinstance(values.get(name), os.PathLike):
            values[name] = os.fspath(values[name])
    options = configure(cls, values, of)
    if isinstance(options, SignalOptions):
        check_signal_options(options)
    return options


def check_signal_options(options: SignalOptions) -> None:
    """Raise if options exclude each other."""
    interval = options.control_interval
    require(
        options.yellow < interval,
        f"yellow={options.yellow:g} must be shorter than control_interval={interval:g} s",
    )
    require(
        horizon_of(options) >= 1,
        f"seconds={options.seconds:g} must be at least one step of {interval:g} s",
    )
    require(
        options.reward == "queue" or not options.reward_backlog,
        f"reward_backlog=true is for reward=queue, not {options.reward}",
    )


def horizon_of(options: SignalOptions) -> int:
    """Steps of an episode; the part of a step at its end is left out."""
    steps = round(options.seconds / options.control_interval, 6)  # 1 s / 0.1 s is 10 steps
    return math.floor(steps)
