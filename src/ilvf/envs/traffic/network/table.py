"""A table that overrides what `read_network` derives, for some signals or for all.

    {"signals": {"J3": {"phases": ["GGrr", "rrGG"],
                        "neighbours": ["J4"],
                        "extensions": {"E7_0": ["E6_0", "E5_0"]}}}}

Every part is optional. Neighbours are made symmetric: J4 gets J3 as well. Extensions are the
upstream lanes that count with an approach lane.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ilvf.envs.traffic.network.lights import Light
from ilvf.errors import UsageError, require

PARTS = {"phases": list, "neighbours": list, "extensions": dict}
LETTERS = "Ggrs"
LISTED = 8  # signals that an error message lists

Entry = dict[str, Any]


def read_table(table: str | Path | Mapping[str, Any] | None) -> dict[str, Entry]:
    """Signal → its entry in the table.

    Args:
        table: a JSON file, its content, or None for an empty table.

    Raises:
        UsageError: the file cannot be read, or the content has another form. `check_ids` and the
            functions after it compare the content with a network.
    """
    if table is None:
        return {}
    name = "the table" if isinstance(table, Mapping) else str(table)
    content = table if isinstance(table, Mapping) else load_json(Path(table))
    signals = content.get("signals") if isinstance(content, Mapping) and len(content) == 1 else None
    if not isinstance(signals, Mapping):
        raise UsageError(
            f'{name} must have the one key "signals": {{"signals": {{ID: {{"phases": [...]}}}}}}'
        )
    for signal, entry in signals.items():
        check_entry(f"{name}: signal {signal}", entry)
    return {signal: dict(entry) for signal, entry in signals.items()}


def load_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from None


# ---------------------------------------------------------------------- checks
def check_entry(where: str, entry: Any) -> None:
    """Raise unless an entry has known parts of the right types; `where` begins the message."""
    known = ", ".join(PARTS)
    require(
        isinstance(entry, Mapping),
        f"{where} has {entry!r} instead of an object with some of {known}",
    )
    for part, value in entry.items():
        require(part in PARTS, f"{where} has an unknown key {part!r}; use {known}")
        require(
            isinstance(value, PARTS[part]),
            f"{where} has {part}={value!r}, need a {PARTS[part].__name__}",
        )
        lists = value.values() if part == "extensions" else [value]
        require(
            all(is_list_of_strings(words) for words in lists),
            f"{where} has {part}={value!r}, need strings",
        )


def is_list_of_strings(value: Any) -> bool:
    """Whether a value is a list that holds nothing but strings."""
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def check_ids(table: Mapping[str, Entry], lights: Mapping[str, Light]) -> None:
    """Raise unless every signal that the table names is in the network."""
    known = ", ".join(list(lights)[:LISTED]) + (", ..." if len(lights) > LISTED else "")
    for signal, entry in table.items():
        require(
            signal in lights,
            f"the table has a signal {signal} that is not in the network, which has {known}",
        )
        for other in entry.get("neighbours", ()):
            require(
                other in lights,
                f"the table lists {other} among the neighbours of {signal}, but it is not in the "
                f"network, which has {known}",
            )


def check_phases(light: Light, phases: Sequence[str]) -> tuple[str, ...]:
    """The table's phases of one signal, with one letter per link."""
    for phase in phases:
        require(
            len(phase) == light.width,
            f"the table's phase {phase} of {light.id} has {len(phase)} letters, "
            f"need one per link: {light.width}",
        )
        require(
            set(phase) <= set(LETTERS),
            f"the table's phase {phase} of {light.id} may only have the letters "
            f"{', '.join(LETTERS)}",
        )
        require(phases.count(phase) == 1, f"the table lists the phase {phase} of {light.id} twice")
    return tuple(phases)


# ---------------------------------------------------------------------- overrides
def override_neighbours(
    derived: np.ndarray, signals: Sequence[str], table: Mapping[str, Entry]
) -> np.ndarray:
    """Neighbours after the table has replaced those of the signals it lists.

    A pair in which at least one signal has a list are neighbours if one of the lists names the
    other signal.

    Args:
        derived: bool `[N, N]`.
        signals: ids of the N signals.
        table: signal → entry.

    Returns:
        bool `[N, N]`, symmetric.
    """
    found = derived.copy()
    index = {signal: i for i, signal in enumerate(signals)}
    listed = {s: table[s]["neighbours"] for s in signals if "neighbours" in table.get(s, {})}
    for signal in listed:
        found[index[signal], :] = False
        found[:, index[signal]] = False
    for signal, others in listed.items():
        for other in others:
            require(other != signal, f"the table lists {signal} among its own neighbours")
            require(
                other in index,
                f"the table lists {other} among the neighbours of {signal}, but it is left out, "
                "because it has one phase",
            )
            i = index[signal]
            j = index[other]
            found[i, j] = True
            found[j, i] = True
    return found


def override_extensions(
    light: Light, listed: Mapping[str, Sequence[str]], lanes: Mapping[str, Any]
) -> dict[str, tuple[Any, ...]]:
    """The extensions that the table lists for one signal.

    Args:
        light: the signal.
        listed: approach lane → ids of its upstream lanes.
        lanes: id → sumolib's lane, for all lanes of the network.

    Returns:
        approach lane → its upstream lanes.
    """
    approaches = sorted({c.getFromLane().getID() for c in light.connections})
    found = {}
    for lane, upstream in listed.items():
        require(
            lane in approaches,
            f"the table extends lane {lane}, which does not lead to {light.id}; its approach lanes "
            f"are {', '.join(approaches)}",
        )
        missing = [u for u in upstream if u not in lanes]
        require(
            not missing,
            f"the table extends lane {lane} by {', '.join(missing)}, not in the network",
        )
        found[lane] = tuple(lanes[u] for u in upstream)
    return found
