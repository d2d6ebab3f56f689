"""A table that overrides what `read_network` derives: for all signals, or for some of some.

    {"signals": {"J3": {"phases": ["GGrr", "rrGG"],
                        "neighbours": ["J4"],
                        "extensions": {"E7_0": ["E6_0", "E5_0"]}}}}

Neighbours are made symmetric: J4 gets J3 as well. Extensions are the lanes before an approach lane that count with it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ilvf.envs.traffic.network.lights import Light
from ilvf.errors import UsageError, require

PARTS = {"phases": list, "neighbours": list, "extensions": dict}
LETTERS = "Ggrs"

Entry = dict[str, Any]


def read_table(table: str | Path | Mapping[str, Any] | None) -> dict[str, Entry]:
    """signal → its part of the table, checked as far as one can without a network."""
    if table is None:
        return {}
    name, content = (
        ("the table", table) if isinstance(table, Mapping) else (str(table), _load(Path(table)))
    )
    signals = content.get("signals") if isinstance(content, Mapping) and len(content) == 1 else None
    if not isinstance(signals, Mapping):
        raise UsageError(
            f'{name} must have the one key "signals": {{"signals": {{ID: {{"phases": [...]}}}}}}'
        )
    for signal, entry in signals.items():
        _check_entry(f"{name}: signal {signal}", entry)
    return {signal: dict(entry) for signal, entry in signals.items()}


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None


def _check_entry(where: str, entry: Any) -> None:
    known = ", ".join(PARTS)
    require(
        isinstance(entry, Mapping),
        f"{where} has {entry!r} where an object with some of {known} should be",
    )
    for part, value in entry.items():
        require(part in PARTS, f"{where} has a key {part!r} that is not known; use {known}")
        require(
            isinstance(value, PARTS[part]),
            f"{where} has {part}={value!r}, need a {PARTS[part].__name__}",
        )
        lists = value.values() if part == "extensions" else [value]
        strings = all(
            isinstance(x, list) and all(isinstance(word, str) for word in x) for x in lists
        )
        require(strings, f"{where} has {part}={value!r}, need strings")


def check_ids(table: Mapping[str, Entry], lights: Mapping[str, Light]) -> None:
    """Every signal that the table speaks of must be one of the network's."""
    for signal, entry in table.items():
        for other in (signal, *entry.get("neighbours", ())):
            where = "" if other == signal else f" among the neighbours of {signal}"
            known = ", ".join([*lights][:8]) + (", ..." if len(lights) > 8 else "")
            require(
                other in lights,
                f"the table has a signal {other}{where} that the network has not: it has {known}",
            )


def check_phases(light: Light, phases: list[str]) -> tuple[str, ...]:
    """The table's phases of one signal, one of its letters a link."""
    for phase in phases:
        right = len(phase) == light.width
        require(
            right,
            f"the table's phase {phase} of {light.id} has {len(phase)} letters, need one a link: {light.width}",
        )
        known = set(phase) <= set(LETTERS)
        require(
            known,
            f"the table's phase {phase} of {light.id} may have no letter but {', '.join(LETTERS)}",
        )
    twice = [phase for phase in phases if phases.count(phase) > 1]
    require(not twice, f"the table lists the phase {twice[0] if twice else ''} of {light.id} twice")
    return tuple(phases)


def override_neighbours(
    derived: np.ndarray, signals: list[str], table: Mapping[str, Entry]
) -> np.ndarray:
    """Pairs with a signal whose neighbours are listed: those that one of the two lists, and no others."""
    found = derived.copy()
    listed = {s: table[s]["neighbours"] for s in signals if "neighbours" in table.get(s, {})}
    place = {s: i for i, s in enumerate(signals)}
    for signal in listed:
        found[place[signal], :] = found[:, place[signal]] = False
    for signal, others in listed.items():
        for other in others:
            require(other != signal, f"the table lists {signal} among its own neighbours")
            left_out = f"the table lists {other} among the neighbours of {signal}, but it is left out: it has one phase"
            require(other in place, left_out)
            i, j = place[signal], place[other]
            found[i, j] = found[j, i] = True
    return found


def override_extensions(
    light: Light, listed: Mapping[str, list[str]], lanes: Mapping[str, Any]
) -> dict[str, Any]:
    """approach lane → the lanes before it, as the table has them, sumolib's."""
    own = {c.getFromLane().getID() for c in light.connections}
    for lane, upstream in listed.items():
        there = f"{', '.join(sorted(own))} do"
        require(
            lane in own,
            f"the table extends lane {lane}, which does not lead to {light.id}; {there}",
        )
        missing = [u for u in upstream if u not in lanes]
        require(
            not missing,
            f"the table extends lane {lane} by {', '.join(missing)}, not in the network",
        )
    return {lane: tuple(lanes[u] for u in upstream) for lane, upstream in listed.items()}
