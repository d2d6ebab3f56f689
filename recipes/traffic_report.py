"""Policies on a road network as a page with pictures."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tensordict import TensorDictBase
from torch import Tensor

from audit_report import table
from ilvf.envs.traffic import Network, Traffic
from ilvf.envs.traffic.draw import each_step
from ilvf.envs.traffic.network.maps import draw_map, draw_side_by_side
from ilvf.experiment.command_line import Config

COLUMNS = {  # statistic of an episode: its column, and how it is written
    "return": ("return", ".0f"),
    "queue": ("queue", ".2f"),
    "speed": ("speed [m/s]", ".2f"),
    "travel_time": ("travel time [s]", ".0f"),
    "throughput": ("throughput", ".0f"),
    "backlog": ("backlog", ".0f"),
    "teleports": ("teleports", ".1f"),
}
OVER_TIME = {"queue": "halting vehicles\nper approach lane", "speed": "speed [m/s]"}
MEANING = (
    "*Queue*: halting vehicles per approach lane; *travel time*: of the trips that were finished, *throughput*: their "
    "number; *backlog*: vehicles that wait outside at the end."
)
NO_INFLUENCE = "There is no map of influence, for this algorithm has learned none."


def write_report(
    folder: Path,
    env: Traffic,
    rollouts: dict[str, TensorDictBase],
    influence: dict[str, Tensor],
    cfg: Config,
) -> dict[str, float]:
    """Write `report.md`, the pictures and `traffic.pt`; the figures that belong into the metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    network, interval = env.network, env.control_interval
    played = {name: recorded(rollout) for name, rollout in rollouts.items()}
    draw_episodes(played, interval).savefig(folder / "episode.png", dpi=110)
    map_queues(network, played, interval).savefig(folder / "map.png", dpi=110)
    pictures = ["episode.png", "map.png"]
    if influence:
        pictures.append("influence.png")
        map_influence(network, influence["weight"], cfg["traffic"]["arrows"]).savefig(
            folder / pictures[-1], dpi=110
        )
    names = {
        "lanes": list(network.lanes),
        "signals": [s.id for s in network.signals],
        "interval": interval,
    }
    torch.save({"policies": played, "influence": influence, **names}, folder / "traffic.pt")
    rows = [[label(name), *cells(policy["episode"])] for name, policy in played.items()]
    page = [
        heading(cfg, played["learned"], interval),
        table(["policy", *(c for c, _ in COLUMNS.values())], rows),
    ]
    page += [MEANING, about(network, influence) if influence else NO_INFLUENCE]
    page += [f"![{Path(name).stem}]({name})" for name in pictures]
    (folder / "report.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    return {
        f"traffic/{name}/{k}": v
        for name, policy in played.items()
        for k, v in means(policy["episode"]).items()
    }


def recorded(rollout: TensorDictBase) -> dict[str, Any]:
    """Of a rollout `[K, T]`: queues of lanes `[K, T, M]`, rewards `[K, T, N]`, queue and speed of the steps `[K, T]`,
    and the statistics of the episodes `[K]`.
    """
    after = rollout["next"].cpu()
    speed = torch.stack([each_step(e["speed"], e["running"]) for e in after["episode"]])
    episode = {name: value[:, -1, 0].clone() for name, value in after["episode"].items()}
    queues, reward = after["queues"], after["agents", "reward"].squeeze(-1)
    return {
        "queues": queues,
        "reward": reward,
        "queue": queues.mean(-1),
        "speed": speed.float(),
        "episode": episode,
    }


def label(name: str) -> str:
    return name.replace("_", " ")


def count(episodes: int) -> str:
    return f"{episodes} episode{'s' * (episodes != 1)}"


# ---------------------------------------------------------------------- words
def heading(cfg: Config, learned: dict[str, Any], interval: float) -> str:
    found, wanted = len(learned["speed"]), cfg["traffic"]["episodes"]
    minutes = learned["speed"].shape[1] * interval / 60
    lost = (
        f" of {wanted}, the others were interrupted by a fault of the simulator"
        if found < wanted
        else ""
    )
    acts = "takes the most likely actions" if cfg["traffic"]["deterministic"] else "samples"
    env = ", ".join(f"{k}={v}" for k, v in cfg["env"].items())
    return (
        f"# Traffic: {Path(cfg['checkpoint']).name}\n\n{env}. Means over {count(found)}{lost}, {minutes:g} minutes "
        f"each and the same for all policies; the learned one {acts}."
    )


def means(episode: dict[str, Tensor]) -> dict[str, float]:
    """Over episodes; travel time over those in which a trip was finished."""
    some = episode["throughput"] > 0
    over = {k: episode[k][some] if k == "travel_time" else episode[k] for k in COLUMNS}
    return {k: float(v.mean()) for k, v in over.items() if len(v)}


def cells(episode: dict[str, Tensor]) -> list[str]:
    found = means(episode)
    return [f"{found[k]:{style}}" if k in found else "–" for k, (_, style) in COLUMNS.items()]


def about(network: Network, influence: dict[str, Tensor]) -> str:
    """How much of the influence stays among neighbours."""
    near = torch.from_numpy(network.neighbours)
    far = ~near & ~torch.eye(len(near), dtype=torch.bool)
    w, drawn = (
        " and ".join(mean(influence[k][pairs]) for pairs in (near, far))
        for k in ("weight", "influence")
    )
    return f"Learned influence on neighbours and on other signals, mean over the episodes: w {w}, Ŵ {drawn}."


def mean(values: Tensor) -> str:
    return f"{float(values.mean()):.2f}" if len(values) else "–"


# ---------------------------------------------------------------------- pictures
def draw_episodes(played: dict[str, dict[str, Any]], interval: float) -> Figure:
    """Queue and speed over the episode: the mean of every policy, and thin its episodes."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    places = figure.subplots(len(OVER_TIME), sharex=True)
    for axes, (key, unit) in zip(places, OVER_TIME.items(), strict=True):
        for name, policy in played.items():
            minutes = interval / 60 * torch.arange(1, policy[key].shape[1] + 1)
            (thick,) = axes.plot(minutes, policy[key].nanmean(0), lw=1.8, label=label(name))
            if len(policy[key]) > 1:
                axes.plot(minutes, policy[key].T, lw=0.6, alpha=0.5, color=thick.get_color())
        axes.set(ylabel=unit, ylim=(0, None))
        axes.grid(alpha=0.3)
    places[-1].set_xlabel("minutes")
    figure.legend(
        *places[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False
    )
    return figure


def map_queues(network: Network, played: dict[str, dict[str, Any]], interval: float) -> Figure:
    """Where vehicles halt, mean over the episodes: learned, and the first baseline."""
    first = list(played.items())[:2]
    figure = draw_side_by_side(
        network, {label(name): policy["queues"].mean((0, 1)).numpy() for name, policy in first}
    )
    episodes, steps = first[0][1]["speed"].shape
    figure.suptitle(
        f"Mean over {count(episodes)} of {steps * interval / 60:g} minutes", fontsize=11
    )
    return figure


def map_influence(network: Network, weight: Tensor, times: int) -> Figure:
    """The heaviest weights as arrows, `times` as many as there are signals."""
    n = len(weight)
    figure = draw_map(network, influence=weight.numpy(), arrows=times * n, threshold=0.0)
    axes = figure.axes[0]
    shown = f"mean over the episodes, the {len(axes.texts)} heaviest of {n * (n - 1)} pairs"
    axes.set_title(f"Whose actions move whose return: learned w,\n{shown}", fontsize=11)
    return figure
