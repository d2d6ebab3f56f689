"""The table of a traffic report, in which a policy that keeps vehicles from arriving wins nothing.

A jam flatters most figures: only short trips finish, and vehicles outside are in no queue. So trips
that do not finish count in the mean time, and a policy that finishes significantly fewer of its
trips is left out when the best value of a column is marked.
"""

import math
from collections.abc import Callable, Mapping

from scipy.stats import fisher_exact
from torch import Tensor

from ilvf.reports.tables import table

LEVEL = 0.01  # of the test
COLUMNS = {  # statistic of an episode: its column, its format, and which value is the best
    "return": ("return", ".0f", max),
    "queue": ("queue", ".2f", min),
    "link_queue": ("queue per link", ".2f", min),
    "speed": ("speed [m/s]", ".2f", max),
    "trip_time": ("time of a trip [s]", ".0f", min),
    "finished": ("finished", ".1%", max),
    "throughput": ("throughput", ".0f", max),
    "backlog": ("backlog", ".0f", min),
    "teleports": ("teleports", ".1f", min),
}
LOGGED = (*COLUMNS, "travel_time")
MEANING = (
    "*Queue*: halting vehicles per approach lane at the end of a step; *queue per link*: the same "
    "per link and second, as published, with the lanes before a short approach; *time of a trip*: "
    "mean over all trips, from when the vehicle is to enter; a trip that has not finished counts "
    "until the end of the episode, so the mean is a lower bound (≥); *finished*: their share; "
    "*throughput*: their number; *backlog*: vehicles that wait outside at the end. Bold: the best "
    "of a column."
)

Episodes = Mapping[str, Tensor]  # statistic → its value at the end of each episode, `[K]`


def policies_table(policies: Mapping[str, Episodes]) -> list[str]:
    """A row for every policy, what the columns mean, and whose values are not compared.

    Args:
        policies: label → statistics of its episodes.
    """
    found = {name: means(episodes) for name, episodes in policies.items()}
    behind = jammed(policies)
    compared = [values for name, values in found.items() if name not in behind]
    best = {}
    for statistic, (_, _, choose) in COLUMNS.items():
        known = [values[statistic] for values in compared if statistic in values]
        best[statistic] = best_of(choose, known)
    rows = []
    for name, values in found.items():
        row = [f"{name} †" if name in behind else name]
        for statistic, (_, style, _) in COLUMNS.items():
            wins = name not in behind and values.get(statistic, math.nan) == best[statistic]
            row.append(cell(values, statistic, style, wins))
        rows.append(row)
    lines = [table(["policy", *(column for column, _, _ in COLUMNS.values())], rows), MEANING]
    return [*lines, dagger(found, behind)] if behind else lines


def cell(values: Mapping[str, float], statistic: str, style: str, wins: bool) -> str:
    """A value; bold if it is the best, with ≥ if it is a lower bound, or a dash."""
    if statistic not in values:
        return "–"
    text = f"{values[statistic]:{style}}"
    if statistic == "trip_time" and values["finished"] < 1:
        text = f"≥ {text}"
    return f"**{text}**" if wins else text


def best_of(choose: Callable[..., float], values: list[float]) -> float | None:
    """The best value; None without any, or if all are equal."""
    return choose(values) if len(set(values)) > 1 else None


def means(episodes: Episodes) -> dict[str, float]:
    """Means over episodes; those of times over episodes with a trip, or a finished one."""
    found = {}
    for name in LOGGED:
        if name not in episodes:
            continue
        values = episodes[name]
        if name == "travel_time":
            values = values[episodes["throughput"] > 0]
        values = values[~values.isnan()]
        if len(values):
            found[name] = float(values.mean())
    return found


# ---------------------------------------------------------------------- who finishes fewer trips
def jammed(policies: Mapping[str, Episodes]) -> dict[str, str]:
    """Policy that finishes significantly fewer of its trips → the one that finishes most."""
    counts = {name: count_trips(episodes) for name, episodes in policies.items()}
    top = max(counts, key=lambda name: share(counts[name]))
    behind = {}
    for name, trips in counts.items():
        if fisher_exact([trips, counts[top]], alternative="less").pvalue < LEVEL:
            behind[name] = top
    return behind


def count_trips(episodes: Episodes) -> tuple[int, int]:
    """(finished, not finished) trips of all episodes."""
    left = episodes["running"] + episodes["backlog"]
    return round(float(episodes["throughput"].sum())), round(float(left.sum()))


def share(trips: tuple[int, int]) -> float:
    """The share of finished trips; 0 without any."""
    return trips[0] / max(sum(trips), 1)


def dagger(found: Mapping[str, Mapping[str, float]], behind: Mapping[str, str]) -> str:
    """Why some policies are not compared."""
    top = next(iter(behind.values()))
    names = ", ".join(f"{name} ({found[name].get('finished', 0):.1%})" for name in behind)
    return (
        f"† Its values are not compared, because it finishes significantly fewer of its trips than "
        f"{top} ({found[top]['finished']:.1%}): {names}. Fisher's exact test of the trips, "
        f"p < {LEVEL}."
    )
