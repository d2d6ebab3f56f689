"""Sizes of experiments by intervention: smaller where every environment is a simulator."""

import os
from collections.abc import Mapping
from typing import Any

from ilvf.envs.options import SignalOptions, declaration_of
from ilvf.experiment.config import Config

BATCH = 1024  # environments stepped at once
AUDIT = {"states": 64, "actions": 4, "repeats": 8, "steps": None, "batch": BATCH}
STEPS_ON_SUMO = 12  # a minute
AUDIT_ON_SUMO = {"states": 8, "actions": 2, "repeats": 2, "steps": STEPS_ON_SUMO}
SIMULATORS_PER_CORE = 4


def runs_sumo(env: Mapping[str, Any]) -> bool:
    """Whether every environment with these options is a simulator of traffic."""
    return issubclass(declaration_of(env["name"]).options, SignalOptions)


def quiet_elsewhere(config: Config) -> None:
    """Let what one traffic signal does change no luck elsewhere, `env.lane_noise`."""
    if runs_sumo(config.env):
        config.env.lane_noise = True


def audit_sizes(given: Mapping[str, Any], env: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of an audit: those that are given, and defaults for the environment."""
    on_sumo = {**AUDIT_ON_SUMO, "batch": simulators()}
    defaults = on_sumo if runs_sumo(env) else AUDIT
    return chosen(given, defaults)


def measurement_sizes(given: Mapping[str, Any], env: Mapping[str, Any]) -> dict[str, Any]:
    """`measure`, `steps` and `batch` of `ilvf influence`."""
    on_sumo = {"measure": False, "steps": STEPS_ON_SUMO, "batch": simulators()}
    elsewhere = {"measure": True, "steps": None, "batch": BATCH}
    return chosen(given, on_sumo if runs_sumo(env) else elsewhere)


def simulators() -> int:
    """Simulators that run at the same time."""
    return SIMULATORS_PER_CORE * (os.cpu_count() or 1)


def chosen(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`defaults`, replaced by what is given and not None."""
    found = dict(defaults)
    for name in defaults:
        if given[name] is not None:
            found[name] = given[name]
    return found
