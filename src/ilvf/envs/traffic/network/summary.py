"""What a network offers, printed and drawn: for `python -m ilvf.envs.traffic.network`."""

from pathlib import Path

from ilvf.envs.traffic.network.maps import draw_map
from ilvf.envs.traffic.network.network import Network
from ilvf.envs.traffic.simulator.paths import named
from ilvf.errors import UsageError


def show(network: Network, picture: Path) -> None:
    """Print every signal and every note, and draw the map into the file `picture`."""
    print("\n".join(summary(network)))
    try:
        draw_map(network).savefig(picture, dpi=120)
    except (OSError, ValueError) as error:  # ValueError: a format that matplotlib does not know
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{named(picture)} cannot be written: {reason}; --map=FILE.png names another"
        ) from None
    print(f"{picture} shows where they are")


def summary(network: Network) -> list[str]:
    """One line for each signal, with its numbers of phases, links and lanes, and for each note."""
    width = max(len(signal.id) for signal in network.signals)
    lines = [f"{'signal':<{width}}  phases  links  lanes  neighbours"]
    for signal, others in zip(network.signals, network.neighbour_lists, strict=True):
        near = " ".join(network.signals[j].id for j in others) or "-"
        counts = f"{len(signal.phases):>6}  {len(signal.link_lanes):>5}  {len(signal.lanes):>5}"
        lines.append(f"{signal.id:<{width}}  {counts}  {near}")
    return lines + [f"note: {note}" for note in network.notes]
