"""A table that overrides what `read_network` derives, for some signals or for all.

    {"signals": {"J3": {"phases": ["GGrr", "rrGG"],
                        "neighbours": ["J4"],
                        "extensions": {"E7_0": ["E6_0", "E5_0"]}}}}

Every part is optional, and replaces all that is derived of this part. Neighbours are directed and
in the order in which they are observed: J3 observes J4, and the neighbours of J4 stay as they are.
Extensions are the upstream lanes that count with an approach lane; the other approach lanes of J3
have none. The file may also say where it is from: `{"source": TEXT, "signals": ...}`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    signals = content.get("signals") if isinstance(content, Mapping) else None
    if not isinstance(signals, Mapping) or set(content) - {"signals", "source"}:
        raise UsageError(
            f'{name} must have the key "signals": {{"signals": {{ID: {{"phases": [...]}}}}}}, '
            'and no other than "source"'
        )
    source = content.get("source", "")
    require(isinstance(source, str), f"{name} has source={source!r}, need text")
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
    derived: Sequence[tuple[int, ...]], signals: Sequence[str], table: Mapping[str, Entry]
) -> tuple[tuple[int, ...], ...]:
    """Lists of neighbours, of which the table replaces those that it has.

    Args:
        derived: for each signal the indices of its neighbours.
        signals: ids of the N signals.
        table: signal → entry.
    """
    index = {signal: i for i, signal in enumerate(signals)}
    found = []
    for signal, others in zip(signals, derived, strict=True):
        listed = table.get(signal, {}).get("neighbours")
        if listed is None:
            found.append(tuple(others))
            continue
        check_neighbours(signal, listed, signals)
        found.append(tuple(index[other] for other in listed))
    return tuple(found)


def check_neighbours(signal: str, listed: Sequence[str], signals: Sequence[str]) -> None:
    """Raise unless the listed neighbours of a signal are others of `signals`, each once."""
    for other in listed:
        require(other != signal, f"the table lists {signal} among its own neighbours")
        require(
            other in signals,
            f"the table lists {other} among the neighbours of {signal}, but it is left out, "
            "because it has one phase",
        )
        require(
            listed.count(other) == 1,
            f"the table lists {other} twice among the neighbours of {signal}",
        )


def override_extensions(
    light: Light, listed: Mapping[str, Sequence[str]], lanes: Mapping[str, Any]
) -> dict[str, tuple[Any, ...]]:
    """The extensions of one signal that has some in the table.

    Args:
        light: the signal.
        listed: approach lane → ids of its upstream lanes.
        lanes: id → sumolib's lane, for all lanes of the network.

    Returns:
        approach lane → its upstream lanes; none for a lane that is not listed.
    """
    approaches = sorted({c.getFromLane().getID() for c in light.connections})
    found: dict[str, tuple[Any, ...]] = dict.fromkeys(approaches, ())
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
