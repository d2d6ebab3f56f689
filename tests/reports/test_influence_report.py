"""The report of influence over an episode: moments, curves, orientation of the matrices."""

import pytest
import torch

from ilvf.envs.names import numbered
from ilvf.reports.influence import curves, draw_matrices, moment, write_report

K, T, N = 2, 3, 3
AGENTS = numbered(N)
SETTING = {
    "checkpoint": "best.ckpt",
    "env": {"name": "encircle"},
    "title": "ILVF-P on encircle, seed 0",
    "agents": AGENTS,
}


@pytest.fixture
def episode():
    """Agent 0 acts on the return of agent 2 in every state; the second episode has one step."""
    weight = torch.zeros(K, T, N, N)
    weight[..., 0, 2] = 0.8
    weight[1, ..., 0, 2] = 0.4
    counted = torch.tensor([[True, True, True], [True, False, False]])
    return {"weight": weight, "influence": (weight > 0.5).float(), "counted": counted}


def test_only_episodes_that_go_on_count(episode, refused):
    """0.8 and 0.4 at the start, 0.8 alone after that; row = whose return changes."""
    assert moment(episode, 0)["weight"][2, 0].item() == pytest.approx(0.6)
    assert moment(episode, 1)["weight"][2, 0].item() == pytest.approx(0.8)
    mean = curves(episode)["mean of w off the diagonal"]
    assert mean.tolist() == pytest.approx([0.6 / 6, 0.8 / 6, 0.8 / 6])
    episode["counted"][:, 2] = False
    with refused("no episode lasts to step 2"):
        moment(episode, 2)


def test_rows_of_the_matrices_are_acting_agents(episode):
    moments = {0.0: moment(episode, 0), 1.0: moment(episode, 1)}
    effect = torch.zeros(N, N)
    effect[0, 2] = 5.0
    figure = draw_matrices(moments, {0.0: effect, 1.0: effect}, {0.0: 0, 1.0: 1}, "encircle")
    assert "encircle" in figure.get_suptitle()
    matrices = [axes for axes in figure.axes if axes.images and axes.get_xlabel()]
    titles = [axes.get_title() for axes in matrices]
    assert titles[::2] == ["attention w, step 0", "influence Ŵ, step 0", "measured effect, step 0"]
    for axes in matrices:
        shown = torch.from_numpy(axes.images[0].get_array().filled(0.0))
        assert shown.nonzero().tolist() == [[0, 2]]
        assert axes.get_ylabel() == "agent whose action it is"


def test_page_files_and_metrics(episode, tmp_path):
    at = {0.0: 0, 1.0: 2}
    metrics = write_report(tmp_path, episode, at, {}, SETTING)
    assert metrics["influence/mean_first"] == pytest.approx(0.6 / 6)
    assert metrics["influence/below_first"] == pytest.approx(1.0)  # agent 0 is a lower number
    page = (tmp_path / "report.md").read_text()
    assert "| 0 | 0 | 0.10 | 1.00 | 0.08 | 0.00 | 2 of 2 |" in page
    assert "| 1 | 2 | 0.13 | 1.00 | 0.17 | 0.00 | 1 of 2 |" in page
    assert "significant" not in page
    stored = torch.load(tmp_path / "influence.pt", weights_only=True)
    assert list(stored["moments"]) == [0.0, 1.0]
    assert stored["measured"] == {}
