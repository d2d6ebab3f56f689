"""One file with trained signals: networks, roads and options, and nothing that runs code."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ilvf.checkpoints.policy import Policy, policy_of_parts, policy_parts
from ilvf.data.tensor_files import load_tensors
from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic.network.network import Network, Signal
from ilvf.errors import UsageError, require
from ilvf.options import configure

KIND = "ilvf signals"
VERSION = 1
ENTRIES = {  # of a file → type
    "kind": str,
    "version": int,
    "policy": Mapping,
    "signals": list,
    "neighbours": list,
    "lane_lengths": Mapping,
    "extensions": Mapping,
    "options": Mapping,
    "detectors": bool,
}
Parts = tuple[Policy, Network, SignalOptions, bool]


def write_signals(policy: Policy, env: Any, path: Path) -> None:
    """Write a team of signals into one file.

    Args:
        policy: the trained team.
        env: a `Traffic` environment, of the run that trained it.

    Raises:
        UsageError: the file cannot be written.
    """
    network = env.network
    content = {
        "kind": KIND,
        "version": VERSION,
        "policy": policy_parts(policy),
        "signals": [asdict(signal) for signal in network.signals],
        "neighbours": [list(others) for others in network.neighbour_lists],
        "lane_lengths": dict(network.lane_lengths),
        "extensions": {lane: list(lanes) for lane, lanes in network.extensions.items()},
        "options": asdict(env.senses.options),
        "detectors": env.senses.detectors,
    }
    try:
        torch.save(content, path)
    except (OSError, RuntimeError) as error:  # torch reports a missing folder as RuntimeError
        raise UsageError(f"{path} cannot be written ({error})") from error


def read_signals(path: Path) -> Parts:
    """The team, the roads, the options, and whether detectors count.

    Raises:
        UsageError: the file is missing, damaged, or another one.
    """
    content = load_tensors(path, "file of signals")
    known = isinstance(content, Mapping) and content.get("kind") == KIND
    require(known, f"{path} is no file of signals; ilvf export to=signals writes one")
    require(
        content.get("version") == VERSION,
        f"{path} is of version {content.get('version')}; this library reads version {VERSION}",
    )
    for entry, kind in ENTRIES.items():
        require(
            isinstance(content.get(entry), kind),
            f"{path} is damaged: its entry {entry} is no {kind.__name__}; use another copy of it",
        )
    try:
        network = network_of(content, path)
        names = {field.name for field in fields(SignalOptions)}
        given = {name: value for name, value in content["options"].items() if name in names}
        given.setdefault("priority_waits", False)  # a file of an older version
        options = configure(SignalOptions, given, "the file of signals")
        policy = policy_of_parts(content["policy"], path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is damaged ({error}); use another copy of it") from error
    agents = policy.actor.arguments["n_agents"]
    require(
        agents == len(network.signals),
        f"{path} is damaged: {agents} agents for {len(network.signals)} signals",
    )
    return policy, network, options, content["detectors"]


def network_of(content: Mapping[str, Any], path: Path) -> Network:
    """The roads in a file."""
    signals = []
    for entry in content["signals"]:
        plain: dict[str, Any] = {}
        for name, value in entry.items():
            plain[name] = tuple(value) if isinstance(value, list) else value
        signals.append(Signal(**plain))
    n = len(signals)
    return Network(
        net_file=path,
        signals=tuple(signals),
        neighbour_lists=neighbours_of(content["neighbours"], n),
        distance=np.full((n, n), np.inf),
        lane_lengths=dict(content["lane_lengths"]),
        extensions={lane: tuple(lanes) for lane, lanes in content["extensions"].items()},
        notes=(),
    )


def neighbours_of(lists: Sequence[Sequence[int]], n: int) -> tuple[tuple[int, ...], ...]:
    """The neighbours of n signals, as numbers of signals.

    Raises:
        ValueError: one is no signal, or a signal lacks its list.
    """
    found = tuple(tuple(others) for others in lists)
    if len(found) != n or not all(0 <= other < n for others in found for other in others):
        raise ValueError("its neighbours are no signals")
    return found
