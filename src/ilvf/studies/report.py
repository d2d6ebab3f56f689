"""The report of a study: a page in markdown and HTML, pictures, and tables for other programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from ilvf.analysis.aggregates import Array
from ilvf.errors import UsageError
from ilvf.reports.tables import escaped, write_page
from ilvf.studies.heatmaps import heatmaps, heatmaps_picture, older_pictures
from ilvf.studies.html import html_of
from ilvf.studies.latex import latex_tables
from ilvf.studies.marl_eval import marl_eval_json
from ilvf.studies.page import Results, parts_of
from ilvf.studies.pictures import (
    SHARES,
    curves_picture,
    efficiency_picture,
    profiles_picture,
)
from ilvf.studies.scores import score_arrays, score_curves, whole_curve

DPI = 150
Pictures = dict[str, list[str]]  # section of the page → its pictures, in markdown


def write_report(results: Results, folder: Path, more: Sequence[str] = ()) -> list[Path]:
    """Write the report of the finished runs into the folder of the study.

    Args:
        results: what is shown.
        folder: of the study.
        more: further parts of the page; empty ones are left out.

    Returns:
        The files: the page in markdown and HTML, its pictures, `tables.tex` and `marl_eval.json`.

    Raises:
        UsageError: a file cannot be written.
    """
    results = results.of_begun_tasks()
    arrays = score_arrays(results.table, results.study, whole_curve)
    page = folder / "report.md"
    try:
        files, pictures = write_pictures(results, arrays, folder)
        parts = parts_of(results, arrays, pictures, more)
        write_page(page, parts)
        texts = {
            "report.html": html_of(parts, results.study.title, folder),
            "tables.tex": latex_tables(results.table, results.study, arrays),
            "marl_eval.json": marl_eval_json(results.table, results.study),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        reason = f"{error.filename or page} cannot be written ({error.strerror})"
        raise UsageError(f"the report: {reason}") from error
    return [page, *(folder / name for name in texts), *files]


def write_pictures(
    results: Results, arrays: Mapping[str, Array], folder: Path
) -> tuple[list[Path], Pictures]:
    """Write all pictures: their files, and how the page shows them."""
    study = results.study
    files = save(curves_picture(results.table, study), folder / "curves.png")
    shown: Pictures = {"curves": ["![Learning curves](curves.png)"], "scores": [], "influence": []}
    if arrays:
        curves = score_curves(results.table, study, SHARES)
        files += save(efficiency_picture(curves, study), folder / "efficiency.png")
        files += save(profiles_picture(arrays, study), folder / "profiles.png")
        shown["scores"] = [
            "![Sample efficiency](efficiency.png)",
            "![Performance profiles](profiles.png)",
        ]
    maps = heatmaps(study, results.finished(), folder)
    if maps:
        path = folder / "influence.png"
        heatmaps_picture(maps, study.title).savefig(path, dpi=DPI)
        files.append(path)
        shown["influence"] = ["![Influence](influence.png)"]
    for name, path in older_pictures(results.finished(), folder).items():
        shown["influence"] += [escaped(name), f"![Influence]({path.relative_to(folder)})"]
    return files, shown


def save(figure: Figure, path: Path) -> list[Path]:
    """Save a picture as pixels and as vectors; equal pictures give equal files."""
    vectors = path.with_suffix(".svg")
    with matplotlib.rc_context({"svg.hashsalt": "ilvf"}):
        figure.savefig(path, dpi=DPI)
        figure.savefig(vectors, metadata={"Date": None})
    return [path, vectors]
