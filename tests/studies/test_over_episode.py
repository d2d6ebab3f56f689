"""Influence over an episode in a study: the table of matrices, its report, and which runs."""

import pandas as pd
import pytest
import torch

from ilvf.envs.names import numbered
from ilvf.reports.influence import write_report
from ilvf.studies.analyses import OverEpisode, finds_influence
from ilvf.studies.description import StudyAlgorithm
from ilvf.studies.over_episode import matrices_of, moments_table, report_parts, rows_of
from ilvf.studies.plan import planned_runs
from study_helpers import TINY_KEYS, small_study

K, T, N = 2, 3, 3
STUDY = small_study(after=["influence_over_episode"])
MAPPO, ILVF_P = planned_runs(STUDY)[:2]


class Measured:
    """What the report reads of an audit: agent 0 moves the return of agent 2, and no other."""

    effect = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    significant = effect > 0

    def agreement(self, weight):
        return {"auroc": 1.0}


@pytest.fixture
def analysed(tmp_path):
    """The folder of a run with the files of `ilvf influence`: measured at the second moment."""
    weight = torch.zeros(K, T, N, N)
    weight[..., 0, 2] = 0.8
    counted = torch.ones(K, T, dtype=torch.bool)
    episode = {"weight": weight, "influence": (weight > 0.5).float(), "counted": counted}
    setting = {"checkpoint": "best.ckpt", "env": {"name": "encircle"}}
    setting |= {"title": "ILVF-P on encircle", "agents": numbered(N)}
    measured = {0.5: Measured(), 1.0: Measured()}
    write_report(tmp_path / "influence", episode, {0.5: 1, 1.0: 2}, measured, setting)
    return tmp_path


def test_the_rows_of_a_run_are_its_matrices(analysed):
    rows = rows_of(analysed, ILVF_P)
    assert len(rows) == 2 * N * N
    assert set(rows["step"]) == {1, 2}
    found = matrices_of(rows[rows["moment"] == 0.5])
    assert found["weight"][0, 2].item() == pytest.approx(0.8)  # row = acting agent
    assert found["weight"].sum().item() == pytest.approx(0.8)
    assert found["influence"][0, 2].item() == 1.0
    assert torch.equal(found["effect"].float(), Measured.effect)


def test_the_report_averages_over_seeds(analysed):
    first = rows_of(analysed, ILVF_P)
    second = first.assign(seed=1, weight=0.0)
    parts, pictures = report_parts(pd.concat([first, second]), analysed)
    row = f"| 0.5 | 1 | 2 | {0.8 / 6 / 2:.2f} | {1 / 6:.2f} | 0.50 | 1.00 | {1 / 6:.2f} | 0.75 |"
    assert row in "\n".join(parts)
    assert [picture.stat().st_size > 10_000 for picture in pictures] == [True]


def test_what_was_not_measured_is_empty(analysed):
    rows = rows_of(analysed, ILVF_P).assign(effect=float("nan"), significant=float("nan"))
    assert moments_table(rows).endswith("|  |  |  |")
    assert report_parts(rows, analysed)[1][0].is_file()


@pytest.mark.parametrize(
    ("recipe", "influence", "finds"),
    [
        ("ilvf_p", None, True),
        ("ilvf_p", "score", True),
        ("ilvf_p", "reward_graph", False),
        ("ilvf_s", None, True),
        ("no_inferring", None, True),
        ("prd", None, True),
        ("mappo", None, False),
        ("qmix", None, False),
    ],
)
def test_algorithms_that_find_influence(recipe, influence, finds):
    keys = {} if influence is None else {"algorithm.influence": influence}
    assert finds_influence(StudyAlgorithm(recipe=recipe, keys=keys)) == finds


def test_runs_that_can_be_analysed_and_are_not_yet(analysed):
    """Runs without checkpoints are from another machine; MAPPO finds no influence."""
    analysis = OverEpisode(STUDY, analysed)
    assert analysis.missing([MAPPO, ILVF_P], []) == []
    for run in (MAPPO, ILVF_P):
        (analysed / run.folder / "checkpoints").mkdir(parents=True)
    assert analysis.missing([MAPPO, ILVF_P], []) == [ILVF_P]
    assert OverEpisode(small_study(), analysed).missing([ILVF_P], []) == []
    rows_of(analysed, ILVF_P).to_csv(analysis.file, index=False)
    analysis = OverEpisode(STUDY, analysed)
    assert analysis.missing([ILVF_P], [MAPPO]) == []
    assert analysis.missing([], [MAPPO]) == []  # ILVF-P is in another part of the study
    assert len(analysis.table)
    assert ILVF_P.algorithm in " ".join(analysis.report([ILVF_P])[0])
    assert analysis.report([MAPPO])[0] == []  # the study has no such run any more
    assert analysis.missing([], [ILVF_P]) == []  # the run is to be trained again
    assert not len(analysis.table)


def test_a_task_of_ones_own_is_named_again(analysed):
    keys = {"env.task": "own_package:make", "env.kwargs.n": 4}
    task = {"title": "Own", "env": "torchrl", "frames": 80, "keys": keys}
    scale = {"seeds": "0", "keys": {k: v for k, v in TINY_KEYS.items() if k[:4] != "env."}}
    study = small_study(after=["influence_over_episode"], tasks=[task], scales={"tiny": scale})
    run = next(run for run in planned_runs(study) if run.recipe == "ilvf_p")
    assert "env.task=own_package:make" in OverEpisode(study, analysed)._job(run).command


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0\0"])
def test_a_damaged_table_is_refused(text, analysed, refused):
    file = analysed / "influence_over_episode.csv"
    file.write_text(text)
    with refused(str(file), "restore it or delete it"):
        OverEpisode(STUDY, analysed)
    rows = rows_of(analysed, ILVF_P)
    rows.assign(moment="early").to_csv(file, index=False)
    with refused(str(file), "restore it or delete it"):
        OverEpisode(STUDY, analysed)
