"""What traffic signals do to each other, as measured: by distance, as a matrix and on the map."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ilvf.analysis import Ring, off_diagonal
from ilvf.envs.names import AgentNames
from ilvf.envs.traffic import Network
from ilvf.envs.traffic.network.maps import draw_map
from ilvf.reports.drawing import COLOURS
from ilvf.reports.matrices import Panel, draw_bars, draw_matrix
from ilvf.reports.tables import table

ARROWS = 2  # per signal
RINGS_MEANING = (
    "By distance: a neighbour is one step away. *Share*: of the sum of the squared effects on "
    "other signals, with its interval over states; beside it the share of the pairs, which is what "
    "effects would have that do not depend on the distance."
)


def rings_table(rings: Sequence[Ring]) -> str:
    """Effects by distance."""
    total = sum(ring.pairs for ring in rings)
    rows = []
    for ring in rings:
        rows.append(
            [
                f"{ring.hops:g}",
                ring.pairs,
                f"{root(ring.mean_square):.3g}",
                f"{ring.share:.2f} [{ring.low:.2f}, {ring.high:.2f}]",
                f"{ring.pairs / total:.2f}",
            ]
        )
    head = ["steps apart", "pairs", "effect (root mean square)", "share", "share of the pairs"]
    return f"{RINGS_MEANING}\n\n" + table(head, rows)


def root(square: float) -> float:
    """The root of an unbiased square, which noise can make negative."""
    return max(square, 0.0) ** 0.5


def draw_effects(network: Network, effect: Tensor, rings: Sequence[Ring], title: str) -> Figure:
    """Effects as a matrix, the largest as arrows on the map, and their shares by distance.

    Args:
        network: the signals.
        effect: measured effects `[N, N]`, row = acting signal.
        rings: see `effects_by_distance`.
        title: of the figure.
    """
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    figure.suptitle(title, parse_math=False)
    left, middle, right = figure.subplots(1, 3)
    others = effect.clone()
    others.fill_diagonal_(float("nan"))
    top = float(off_diagonal(effect).max()) or 1.0
    names = AgentNames(tuple(signal.id for signal in network.signals), "signal")
    panel = Panel(others, "measured effect", top, "magma", "return", agents=names)
    draw_matrix(left, panel)
    draw_bars(figure, [left], [panel])
    number = ARROWS * len(effect)
    draw_map(network, influence=effect.numpy(), axes=middle, threshold=0.0, arrows=number)
    middle.set_title(f"the {number} largest effects")
    draw_shares(right, rings)
    return figure


def draw_shares(axes: Axes, rings: Sequence[Ring]) -> None:
    """Bars of the share of squared effects at every distance, and of the pairs there."""
    x = torch.arange(len(rings)).numpy()
    share = [ring.share for ring in rings]
    below = [max(ring.share - ring.low, 0.0) for ring in rings]
    above = [max(ring.high - ring.share, 0.0) for ring in rings]
    total = sum(ring.pairs for ring in rings)
    pairs = [ring.pairs / total for ring in rings]
    axes.bar(x - 0.2, share, 0.4, yerr=[below, above], color=COLOURS[0], label="squared effects")
    axes.bar(x + 0.2, pairs, 0.4, color="0.75", label="pairs")
    axes.set_xticks(x, [f"{ring.hops:g}" for ring in rings])
    axes.set(title="share by distance", xlabel="steps from neighbour to neighbour")
    axes.axhline(0, color="0.3", lw=0.8)
    axes.legend()
