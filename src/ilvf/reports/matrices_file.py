"""`influence.npz`: what a run has learned about influence, in the run's folder."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ilvf.envs.names import AgentNames, numbered
from ilvf.errors import UsageError, require

MATRICES = "influence.npz"
NAMES = "agent names"  # entry of the file: what an agent is, and the names of all
MOST_LETTERS = 200  # of a name
Matrices = dict[str, NDArray[np.float32]]  # title → `[N, N]`, row = acting agent


def write_matrices(
    path: Path, matrices: Mapping[str, Tensor], agents: AgentNames | None = None
) -> None:
    """Replace the file; it is complete at any moment.

    Args:
        matrices: title → `[N, N]`, row = acting agent.
        agents: names of the N agents.
    """
    part = path.with_name(f"{path.name}.part")
    arrays: dict[str, Any] = {}
    if agents is not None:
        words = [word[:MOST_LETTERS] for word in (agents.word, *agents.names)]
        arrays[NAMES] = np.array(words)
    for title, matrix in matrices.items():
        arrays[title] = matrix.float().cpu().numpy()
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(path)


def read_matrices(path: Path) -> Matrices:
    """The matrices in a file; none if there is no file.

    Raises:
        UsageError: it is damaged, or something in it is no finite square matrix.
    """
    found = read(path)
    found.pop(NAMES, None)
    for title, matrix in found.items():
        square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 0
        require(
            square and matrix.dtype.kind in "biuf" and bool(np.isfinite(matrix).all()),
            f"{title!r} in {path} is no finite square matrix; restore the file or delete it",
        )
    return found


def read_names(path: Path, n: int) -> AgentNames:
    """The names of N agents in a file; their numbers if it has none.

    Raises:
        UsageError: the file is damaged.
    """
    words = read(path).get(NAMES)
    if words is None or words.shape != (n + 1,) or words.dtype.kind != "U":
        return numbered(n)
    word, *names = (str(word)[:MOST_LETTERS] for word in words)
    return AgentNames(tuple(names), word)


def read(path: Path) -> dict[str, NDArray]:
    """The arrays in a file; none if there is no file.

    Raises:
        UsageError: it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as content:
            return {title: content[title] for title in content.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{path} cannot be read ({reason}); restore it or delete it") from error
