"""Report of policies on a road network: a table, pictures, and what they show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.analysis import locality, off_diagonal
from ilvf.envs.traffic import Network, Traffic
from ilvf.envs.traffic.animation import animate_queues
from ilvf.envs.traffic.draw import each_step
from ilvf.envs.traffic.network.maps import draw_map, draw_side_by_side
from ilvf.reports.drawing import curve_style
from ilvf.reports.tables import setting_text, write_page
from ilvf.reports.titles import counted
from ilvf.reports.traffic_table import means, policies_table

OVER_TIME = {"queue": "halting vehicles\nper approach lane", "speed": "speed [m/s]"}
LEARNED = {"weight": "attention w", "influence": "influence Ŵ"}  # name: title of its map
OTHER_MODE = {True: "learned_sampled", False: "learned_most_likely"}  # deterministic: the other one
NO_INFLUENCE = "There is no map of influence, because this algorithm has learned none."

Played = Mapping[str, Mapping[str, Any]]  # policy → see `recorded`


def write_report(
    folder: Path,
    env: Traffic,
    rollouts: Mapping[str, TensorDictBase],
    influence: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> dict[str, float]:
    """Write `report.md`, `traffic.pt`, `episode.png`, `map.png`, `influence.png`, `queues.gif`.

    Args:
        folder: where; it is made if it does not exist.
        env: the environment; its network is drawn.
        rollouts: policy → rollout `[K, T]` of the same episodes, with `("next", "queues")`; one
            of them is `learned`, another one may be the same team with the other kind of actions
            (`OTHER_MODE`).
        influence: `weight` and `influence` `[N, N]`, means over the learned policy's rollout, row
            = acting signal; empty if none is learned.
        config: `checkpoint`, `env`, `traffic` and `title`, of the run.

    Returns:
        Metrics `traffic/POLICY/NAME` for the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = env.network
    interval = env.control_interval
    options = config["traffic"]
    title = config["title"]
    played = {name: recorded(rollout, interval) for name, rollout in rollouts.items()}
    labelled = {label(name, options): record for name, record in played.items()}
    figures = {
        "episode": draw_episodes(labelled, interval, title),
        "map": map_queues(network, labelled, interval, title),
    }
    if influence:
        episodes = counted(len(played["learned"]["speed"]), "episode")
        what = f"{title}, mean over {episodes}"
        figures["influence"] = map_influence(network, influence, options["arrows"], what)
    pictures = [f"{name}.png" for name in figures]
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=110)
    if options["animation"]:
        first = {name: record["queues"][0].numpy() for name, record in labelled.items()}
        animate_queues(network, first, interval, folder / "queues.gif")
        pictures.append("queues.gif")
    content = {
        "policies": played,
        "influence": influence,
        "lanes": list(network.lanes),
        "signals": [signal.id for signal in network.signals],
        "interval": interval,
    }
    torch.save(content, folder / "traffic.pt")
    page = [
        heading(config, played, interval),
        *policies_table({name: record["episode"] for name, record in labelled.items()}),
        influence_line(network, influence) if influence else NO_INFLUENCE,
        *(f"![{name.partition('.')[0]}]({name})" for name in pictures),
    ]
    write_page(folder / "report.md", page)
    metrics = {}
    for policy, record in played.items():
        for name, value in means(record["episode"]).items():
            metrics[f"traffic/{policy}/{name}"] = value
    return metrics


def recorded(rollout: TensorDictBase, interval: float) -> dict[str, Any]:
    """What the report needs of a rollout `[K, T]`.

    Args:
        rollout: with `("next", "queues")`.
        interval: length of a step [s].

    Returns:
        `queues` `[K, T, M]` of the M lanes, `reward` `[K, T, N]`, `queue` and `speed` of single
        steps `[K, T]`, and `episode`: statistic → its value at the end `[K]`.
    """
    after = rollout["next"].cpu()
    statistics = after["episode"]
    speed = [each_step(row["speed"], row["running"]) for row in statistics]
    queues = after["queues"]
    episode = {name: value[:, -1, 0].clone() for name, value in statistics.items()}
    return {
        "queues": queues,
        "reward": after["agents", "reward"].squeeze(-1),
        "queue": queues.mean(-1),
        "speed": torch.stack(speed).float(),
        "episode": episode | trips(statistics, interval),
    }


def trips(statistics: TensorDictBase, interval: float) -> dict[str, Tensor]:
    """The time of all trips, and the share that has finished.

    A trip begins when its vehicle is to enter. One that has not finished counts with its time until
    the end of the episode, so that `trip_time` is a lower bound then. The vehicles on the roads and
    outside at time t are P(t), and all trips together have spent ∫ P(t) dt, which is taken by
    trapezoids over the ends of the steps; P(0) = 0. SUMO counts an unfinished trip in whole
    simulation steps, half a step more in the mean.

    Args:
        statistics: of an episode so far, `[K, T]`.
        interval: length of a step [s].

    Returns:
        `trip_time` [s], mean over trips, and `finished`, `[K]` each; NaN without a trip.
    """
    present = (statistics["running"] + statistics["backlog"]).squeeze(-1).double()  # [K, T]
    arrived = statistics["throughput"][:, -1, 0].double()
    number = arrived + present[:, -1]
    return {
        "trip_time": (interval * (present.sum(1) - present[:, -1] / 2) / number).float(),
        "finished": (arrived / number).float(),
    }


# ---------------------------------------------------------------------- text
def heading(config: Mapping[str, Any], played: Played, interval: float) -> str:
    """Title and setting; says how many episodes were interrupted, and how the team acts."""
    found, steps = played["learned"]["speed"].shape
    wanted = config["traffic"]["episodes"]
    lost = ""
    if found < wanted:
        lost = f" of {wanted}, the others were interrupted by a fault of the simulator"
    return (
        f"# Traffic: {config['title']}\n\nCheckpoint {Path(config['checkpoint']).name}, "
        f"{setting_text(config['env'])}. "
        f"Means over {counted(found, 'episode')}{lost}, {steps * interval / 60:g} minutes each and "
        f"the same for all policies. {how_it_acts(config['traffic'], played)}"
    )


def how_it_acts(options: Mapping[str, Any], played: Played) -> str:
    """Whether the learned policy samples."""
    acts = "takes the most likely actions" if options["deterministic"] else "samples its actions"
    if options["temperature"] != 1:
        acts += f" (sampled ones at temperature {options['temperature']:g})"
    other = [name for name in played if name in OTHER_MODE.values()]
    if other:
        return (
            f"The learned policy plays twice: it {acts}, as its run was evaluated "
            f"(*{label('learned', options)}*), and the other way (*{label(other[0], options)}*)."
        )
    return f"The learned policy {acts}."


def label(name: str, options: Mapping[str, Any]) -> str:
    """A policy's name in tables and pictures.

    Args:
        name: of the policy.
        options: `deterministic`, of the learned policy.
    """
    if name in ("learned", *OTHER_MODE.values()):
        likely = options["deterministic"] == (name == "learned")
        return "learned, most likely actions" if likely else "learned, sampled"
    return name.replace("_", " ")


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
def draw_episodes(played: Played, interval: float, title: str = "") -> Figure:
    """Queue and speed over the episode: thick the mean of a policy, thin its episodes.

    Args:
        played: label of a policy → see `recorded`.
        interval: length of a step [s].
        title: of the run.
    """
    figure = Figure(figsize=(7.5, 5.4), layout="constrained")
    places = figure.subplots(len(OVER_TIME), sharex=True)
    for axes, (key, unit) in zip(places, OVER_TIME.items(), strict=True):
        for number, (name, record) in enumerate(played.items()):
            values = record[key]  # [K, T]
            style = curve_style(number)
            minutes = interval / 60 * torch.arange(1, values.shape[1] + 1)
            axes.plot(minutes, values.nanmean(0), lw=1.8, label=name, **style)
            if len(values) > 1:
                axes.plot(minutes, values.T, lw=0.6, alpha=0.5, **style)
        axes.set(ylabel=unit, ylim=(0, None))
        axes.grid(alpha=0.3)
    episodes = len(next(iter(played.values()))["speed"])
    thin = f", mean of {episodes} episodes (thick) and each of them (thin)" if episodes > 1 else ""
    places[0].set_title(f"{title}{thin}", fontsize=10, parse_math=False)
    places[-1].set_xlabel("time [minutes]")
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def map_queues(network: Network, played: Played, interval: float, title: str = "") -> Figure:
    """Where vehicles halt with each policy, mean over the episodes."""
    queues = {name: record["queues"].mean((0, 1)).numpy() for name, record in played.items()}
    episodes, steps = next(iter(played.values()))["speed"].shape
    minutes = steps * interval / 60
    what = f"{title}: mean over {counted(episodes, 'episode')} of {minutes:g} minutes"
    return draw_side_by_side(network, queues, what)


def map_influence(
    network: Network, influence: Mapping[str, Tensor], times: int, title: str = ""
) -> Figure:
    """The largest w, and the largest Ŵ beside them, as arrows from the acting signal.

    Args:
        network: the roads.
        influence: `weight` and `influence` `[N, N]`, row = acting signal.
        times: arrows ÷ signals.
        title: of the run.
    """
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    figure.suptitle(f"{title}: whose action changes whose return", fontsize=11, parse_math=False)
    for axes, (name, words) in zip(figure.subplots(1, 2), LEARNED.items(), strict=True):
        matrix = influence[name]
        n = len(matrix)
        draw_map(network, None, matrix.numpy(), axes, arrows=times * n, threshold=0.0)
        drawn = min(times * n, int((off_diagonal(matrix) > 0).sum()))
        axes.set_title(f"{words}: the {drawn} heaviest of {n * (n - 1)} pairs", fontsize=10)
    return figure
