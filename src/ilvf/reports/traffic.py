"""Report of policies on a road network: a table, two or three pictures, and what they show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.analysis import locality, off_diagonal
from ilvf.envs.traffic import Network, Traffic
from ilvf.envs.traffic.draw import each_step
from ilvf.envs.traffic.network.maps import draw_map, draw_side_by_side
from ilvf.reports.drawing import curve_style
from ilvf.reports.tables import setting_text, table, task_name, write_page

COLUMNS = {  # statistic of an episode: its column, and its format
    "return": ("return", ".0f"),
    "queue": ("queue", ".2f"),
    "link_queue": ("queue per link", ".2f"),
    "speed": ("speed [m/s]", ".2f"),
    "travel_time": ("travel time [s]", ".0f"),
    "throughput": ("throughput", ".0f"),
    "backlog": ("backlog", ".0f"),
    "teleports": ("teleports", ".1f"),
}
OVER_TIME = {"queue": "halting vehicles\nper approach lane", "speed": "speed [m/s]"}
MEANING = (
    "*Queue*: halting vehicles per approach lane at the end of a step; *queue per link*: the same "
    "per link and second, as published, with the lanes before a short approach; *travel time*: of "
    "finished trips, *throughput*: their number; *backlog*: vehicles that wait outside at the end."
)
NO_INFLUENCE = "There is no map of influence, because this algorithm has learned none."

Played = Mapping[str, Mapping[str, Any]]  # policy → see `recorded`


def write_report(
    folder: Path,
    env: Traffic,
    rollouts: Mapping[str, TensorDictBase],
    influence: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> dict[str, float]:
    """Write `report.md`, `episode.png`, `map.png`, `influence.png` and `traffic.pt`.

    Args:
        folder: where; it is made if it does not exist.
        env: the environment; its network is drawn.
        rollouts: policy → rollout `[K, T]` of the same episodes, with `("next", "queues")`; one
            of them is `learned`.
        influence: `weight` and `influence` `[N, N]`, means over the learned policy's rollout, row
            = acting signal; empty if none is learned.
        config: `checkpoint`, `env` and `traffic`.

    Returns:
        Metrics `traffic/POLICY/NAME` for the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = env.network
    interval = env.control_interval
    task = task_name(config["env"])
    played = {name: recorded(rollout) for name, rollout in rollouts.items()}
    figures = {
        "episode": draw_episodes(played, interval, task),
        "map": map_queues(network, played, interval, task),
    }
    if influence:
        arrows = config["traffic"]["arrows"]
        figures["influence"] = map_influence(network, influence["weight"], arrows, task)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=110)
    content = {
        "policies": played,
        "influence": influence,
        "lanes": list(network.lanes),
        "signals": [signal.id for signal in network.signals],
        "interval": interval,
    }
    torch.save(content, folder / "traffic.pt")
    page = [
        heading(config, played["learned"], interval),
        policies_table(played),
        MEANING,
        influence_line(network, influence) if influence else NO_INFLUENCE,
        *(f"![{name}]({name}.png)" for name in figures),
    ]
    write_page(folder / "report.md", page)
    metrics = {}
    for policy, record in played.items():
        for name, value in means(record["episode"]).items():
            metrics[f"traffic/{policy}/{name}"] = value
    return metrics


def recorded(rollout: TensorDictBase) -> dict[str, Any]:
    """What the report needs of a rollout `[K, T]`.

    Returns:
        `queues` `[K, T, M]` of the M lanes, `reward` `[K, T, N]`, `queue` and `speed` of single
        steps `[K, T]`, and `episode`: statistic → its value at the end `[K]`.
    """
    after = rollout["next"].cpu()
    statistics = after["episode"]
    speed = [each_step(row["speed"], row["running"]) for row in statistics]
    queues = after["queues"]
    return {
        "queues": queues,
        "reward": after["agents", "reward"].squeeze(-1),
        "queue": queues.mean(-1),
        "speed": torch.stack(speed).float(),
        "episode": {name: value[:, -1, 0].clone() for name, value in statistics.items()},
    }


def label(name: str) -> str:
    """A policy's name in tables and pictures."""
    return name.replace("_", " ")


def titled(task: str, what: str) -> str:
    """The title of a picture, with the task in front if there is one."""
    return f"{task}: {what}" if task else what


def count(episodes: int) -> str:
    """`1 episode`, `2 episodes`."""
    return f"{episodes} episode{'s' if episodes != 1 else ''}"


# ---------------------------------------------------------------------- text
def heading(config: Mapping[str, Any], learned: Mapping[str, Any], interval: float) -> str:
    """Title and setting; says how many episodes were interrupted."""
    found, steps = learned["speed"].shape
    wanted = config["traffic"]["episodes"]
    lost = ""
    if found < wanted:
        lost = f" of {wanted}, the others were interrupted by a fault of the simulator"
    deterministic = config["traffic"]["deterministic"]
    acts = "takes the most likely actions" if deterministic else "samples"
    return (
        f"# Traffic: {Path(config['checkpoint']).name}\n\n{setting_text(config['env'])}. "
        f"Means over {count(found)}{lost}, {steps * interval / 60:g} minutes each and the same "
        f"for all policies; the learned one {acts}."
    )


def policies_table(played: Played) -> str:
    """A row for every policy."""
    rows = []
    for name, record in played.items():
        found = means(record["episode"])
        row = [label(name)]
        for statistic, (_, style) in COLUMNS.items():
            row.append(f"{found[statistic]:{style}}" if statistic in found else "–")
        rows.append(row)
    return table(["policy", *(column for column, _ in COLUMNS.values())], rows)


def means(episode: Mapping[str, Tensor]) -> dict[str, float]:
    """Means over episodes; that of the travel time over episodes with a finished trip."""
    found = {}
    for name in COLUMNS:
        if name not in episode:
            continue
        values = episode[name]
        if name == "travel_time":
            values = values[episode["throughput"] > 0]
        if len(values):
            found[name] = float(values.mean())
    return found


def influence_line(network: Network, influence: Mapping[str, Tensor]) -> str:
    """How much of the influence stays among neighbours, in one direction or the other."""
    directed = torch.from_numpy(network.neighbours)
    near = directed | directed.T
    far = ~near & ~torch.eye(len(near), dtype=torch.bool)
    text = {}
    for name, matrix in influence.items():
        text[name] = f"{mean_text(matrix[near])} and {mean_text(matrix[far])}"
    line = (
        "Learned influence on neighbours and on other signals, mean over the episodes: "
        f"w {text['weight']}, Ŵ {text['influence']}."
    )
    if not near.any() or not off_diagonal(influence["influence"]).any():
        return line
    found = locality(influence["influence"], near)
    return (
        f"{line} Neighbours have {found.share:.0%} of the off-diagonal Ŵ; with shuffled signals "
        f"they have {found.shuffled:.0%} on average (p = {found.p_value:.3f})."
    )


def mean_text(values: Tensor) -> str:
    """Their mean, or a dash if there are none."""
    return f"{float(values.mean()):.2f}" if len(values) else "–"


# ---------------------------------------------------------------------- pictures
def draw_episodes(played: Played, interval: float, task: str = "") -> Figure:
    """Queue and speed over the episode: thick the mean of a policy, thin its episodes.

    Args:
        played: policy → see `recorded`.
        interval: length of a step [s].
        task: for the title.
    """
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    places = figure.subplots(len(OVER_TIME), sharex=True)
    for axes, (key, unit) in zip(places, OVER_TIME.items(), strict=True):
        for number, (name, record) in enumerate(played.items()):
            values = record[key]  # [K, T]
            style = curve_style(number)
            minutes = interval / 60 * torch.arange(1, values.shape[1] + 1)
            axes.plot(minutes, values.nanmean(0), lw=1.8, label=label(name), **style)
            if len(values) > 1:
                axes.plot(minutes, values.T, lw=0.6, alpha=0.5, **style)
        axes.set(ylabel=unit, ylim=(0, None))
        axes.grid(alpha=0.3)
    episodes = count(len(next(iter(played.values()))["speed"]))
    what = f"mean of {episodes} (thick) and each of them (thin)"
    places[0].set_title(titled(task, what), fontsize=10)
    places[-1].set_xlabel("time [minutes]")
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return figure


def map_queues(network: Network, played: Played, interval: float, task: str = "") -> Figure:
    """Where vehicles halt, mean over the episodes: the learned policy and the first baseline."""
    first = list(played.items())[:2]
    queues = {label(name): record["queues"].mean((0, 1)).numpy() for name, record in first}
    figure = draw_side_by_side(network, queues)
    episodes, steps = first[0][1]["speed"].shape
    minutes = steps * interval / 60
    what = f"Mean over {count(episodes)} of {minutes:g} minutes"
    figure.suptitle(titled(task, what), fontsize=11)
    return figure


def map_influence(network: Network, weight: Tensor, times: int, task: str = "") -> Figure:
    """The largest weights as arrows from the acting signal.

    Args:
        network: the roads.
        weight: w `[N, N]`, row = acting signal.
        times: arrows ÷ signals.
        task: for the title.
    """
    n = len(weight)
    figure = draw_map(network, influence=weight.numpy(), arrows=times * n, threshold=0.0)
    axes = figure.axes[0]
    drawn = min(times * n, int((off_diagonal(weight) > 0).sum()))
    shown = f"mean over the episodes, the {drawn} heaviest of {n * (n - 1)} pairs"
    what = f"learned weight w, whose action changes whose return,\n{shown}"
    axes.set_title(titled(task, what), fontsize=11)
    return figure
