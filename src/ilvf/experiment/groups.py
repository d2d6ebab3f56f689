"""Finished runs in groups that can be compared: a panel for each task and length, and labels."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ilvf.errors import require
from ilvf.experiment.history import FinishedRun
from ilvf.experiment.presentation import UNKNOWN, in_symbols, task_of_params
from ilvf.experiment.resumed import HARMLESS
from ilvf.options import short_names

NOT_COMPARED = (  # config keys that do not distinguish groups of runs; panels have the frames
    *HARMLESS,
    "recipe",
    "seed",
    "trainer.accelerator",
    "trainer.collector_workers",
)
SAME_LENGTH = 1.02  # ratio of frames up to which runs have equal length
ABSENT = "-"  # in labels, for a key that a run does not have
Groups = dict[str, list[pd.Series]]  # label → curves, named and ordered by seed
Key = tuple[str, ...]


def group_runs(runs: Sequence[FinishedRun], by: Sequence[str] = ()) -> dict[str, Groups]:
    """Heading → label → curves: runs of different tasks or lengths are in different panels.

    A panel has one task, one value of every `env` key, and one length (up to 2 %). Of several runs
    with the same label and seed in a panel the newest counts.

    Args:
        runs: oldest first.
        by: config keys whose values label a group, also of `env`; without any, the algorithm's
            name does, and the keys that differ between its runs of a panel.

    Raises:
        UsageError: an unknown key.
    """
    known = {key for run in runs for key in run.params}
    unknown = [key for key in by if key not in known]
    require(
        not unknown,
        f"compare.by={','.join(unknown)}: these runs have no such config key; write keys as in "
        "algorithm.tau",
    )
    headings = headings_of(runs, by)
    labels = labels_of(runs, headings, by)
    found: dict[str, dict[str, dict[int, pd.Series]]] = {}
    for run, heading, label in zip(runs, headings, labels, strict=True):
        curves = found.setdefault(heading, {}).setdefault(label, {})
        curves[int(run.curve.name)] = run.curve
    panels: dict[str, Groups] = {}
    for heading in sorted(found, key=unknown_last):
        panels[heading] = {}
        for label, curves in sorted(found[heading].items()):
            panels[heading][label] = [curves[seed] for seed in sorted(curves)]
    return panels


def unknown_last(heading: str) -> tuple[bool, str]:
    """The place of a heading: alphabetical, with runs of unknown tasks after the others."""
    return heading.startswith(UNKNOWN), heading


# ---------------------------------------------------------------------- panels
def headings_of(runs: Sequence[FinishedRun], by: Sequence[str]) -> list[str]:
    """The panel of every run: its task, what differs in `env.*`, and its frames if they differ."""
    keys = {}
    for task in {task_of_params(run.params) for run in runs}:
        of_task = [run.params for run in runs if task_of_params(run.params) == task]
        env_keys = [key for key in differing(of_task) if key.startswith("env.")]
        keys[task] = [key for key in env_keys if key not in by]
    lengths = lengths_of(runs)
    headings = []
    for run in runs:
        task = task_of_params(run.params)
        words = [task, *words_of(run.params, keys[task])]
        if len(set(lengths.values())) > 1:
            words.append(f"{lengths[run.frames]} frames")
        headings.append(", ".join(words))
    return headings


def lengths_of(runs: Sequence[FinishedRun]) -> dict[int, str]:
    """Frames of a run → the range of lengths that count as equal to it, in words.

    The iterations of algorithms differ in frames, so their defaults do by up to 2 %.
    """
    classes: list[list[int]] = []
    for frames in sorted({run.frames for run in runs}):
        if not classes or frames > SAME_LENGTH * classes[-1][0]:
            classes.append([])
        classes[-1].append(frames)
    names: dict[int, str] = {}
    for equal in classes:
        shortest = equal[0]
        longest = equal[-1]
        name = str(shortest) if shortest == longest else f"{shortest} to {longest}"
        names |= dict.fromkeys(equal, name)
    return names


# ---------------------------------------------------------------------- labels
def labels_of(runs: Sequence[FinishedRun], headings: Sequence[str], by: Sequence[str]) -> list[str]:
    """The group of every run within its panel."""
    if by:
        return [", ".join(words_of(run.params, by)) for run in runs]
    keys = {title: keys_of_label(runs, headings, title) for title in {r.title for r in runs}}
    return [", ".join([run.title, *words_of(run.params, keys[run.title])]) for run in runs]


def keys_of_label(runs: Sequence[FinishedRun], headings: Sequence[str], title: str) -> list[str]:
    """The config keys that differ between an algorithm's runs of a panel."""
    panels: dict[str, list[Mapping[str, str]]] = {}
    for run, heading in zip(runs, headings, strict=True):
        if run.title == title:
            panels.setdefault(heading, []).append(run.params)
    keys = [key for params in panels.values() for key in differing(params)]
    return list(dict.fromkeys(key for key in keys if key not in NOT_COMPARED))


def differing(params: Iterable[Mapping[str, str]]) -> list[str]:
    """The config keys whose values differ between runs."""
    table = pd.DataFrame(list(params))
    return [key for key in table if table[key].nunique(dropna=False) > 1]


def words_of(params: Mapping[str, str], keys: Sequence[str]) -> list[str]:
    """`KEY=VALUE` for each key, with the short name of the key."""
    short = short_names(keys)
    return [f"{in_symbols(short[key])}={params.get(key, ABSENT)}" for key in keys]


# ---------------------------------------------------------------------- the baseline
def find_label(word: str, panels: Mapping[str, Groups]) -> str:
    """The label that a word means: itself, or one that differs in capitals, `-` and `_` alone.

    Raises:
        UsageError: no panel has such a group.
    """
    labels = dict.fromkeys(label for groups in panels.values() for label in groups)
    same = [label for label in labels if plain(label) == plain(word)]
    exact = [label for label in same if label == word]
    require(
        bool(same),
        f"compare.baseline={word!r} is no group; there are {'; '.join(labels)}",
    )
    return (exact or same)[0]


def plain(label: str) -> str:
    """A label without the difference of capitals, `-` and `_`."""
    return label.lower().replace("_", "-")
