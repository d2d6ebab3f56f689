"""Runs on SUMO go on exactly, and can be audited."""

from pathlib import Path

import pytest
import torch

from ilvf.commands.audit import AuditOptions
from ilvf.commands.experiments import audit_sizes, measurement_sizes, runs_sumo
from ilvf.reports.options import InfluenceOptions
from traffic_helpers import SMALL, checkpoint_of, simulators

TINY_AUDIT = ("audit.states=2", "audit.steps=2", "audit.batch=4")


@pytest.mark.slow
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(crossing, out, recipe):
    """Seven steps of ten, so that episodes do not end with the rollout; one run draws pictures."""
    lengths = ("algorithm.rollout_steps=7", "algorithm.eval_every=9")
    options = (*SMALL, *crossing, *lengths, "trainer.logger=none")
    whole = f"out={out / 'whole'}"
    halves = f"out={out / 'halves'}"
    drawn = (whole, "trainer.pictures=true", "trainer.max_epochs=4")
    assert recipe("ilvf_p", *options, *drawn) == 0
    assert recipe("ilvf_p", *options, halves, "trainer.max_epochs=2") == 0
    assert recipe("ilvf_p", "resume=last", halves, "trainer.max_epochs=4") == 0
    first = checkpoint_of(out / "whole")["state_dict"]
    second = checkpoint_of(out / "halves")["state_dict"]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def run(crossing, out, recipe):
    """The folder above a trained run."""
    settings = ("trainer.max_epochs=1", "env.workers=0", f"out={out}")
    assert recipe("ilvf_p", *SMALL, *crossing, *settings) == 0
    return out


@pytest.mark.slow
def test_audit(run, recipe, capsys):
    before = simulators()
    capsys.readouterr()
    assert recipe("audit", "checkpoint=last", f"out={run}", *TINY_AUDIT) == 0
    page = capsys.readouterr().out
    for words in (
        "2 states × 2 joint actions × 2 futures",
        "| neighbours |",
        "| steps apart | pairs |",
        "lane_noise",
    ):
        assert words in page
    folder = Path(page.split("report and pictures: ")[1].split(",")[0])
    assert (folder / "effects.png").stat().st_size > 5000
    stored = torch.load(folder / "audit.pt", weights_only=True)
    assert stored["effect"].shape == (4, 4)
    assert stored["effect"].any()
    assert not simulators(besides=before)


@pytest.mark.slow
def test_influence_measures_only_if_asked(run, recipe, capsys):
    sizes = ("influence.episodes=2", "influence.moments=0.5", f"out={run}")
    for more, found in (((), 0), (("influence.measure=true", "influence.steps=2"), 1)):
        assert recipe("influence", "checkpoint=last", *sizes, *more) == 0
        (file,) = run.glob("*/influence/influence.pt")
        measured = torch.load(file, weights_only=True)["measured"]
        assert len(measured) == found


def test_sizes_follow_the_environment():
    assert runs_sumo({"name": "monaco"})
    assert not runs_sumo({"name": "encircle"})
    given = {**vars(AuditOptions()), "steps": 24}
    on_sumo = audit_sizes(given, {"name": "large_grid"})
    assert (on_sumo["states"], on_sumo["steps"]) == (8, 24)
    elsewhere = audit_sizes(given, {"name": "encircle"})
    assert (elsewhere["states"], elsewhere["steps"], elsewhere["batch"]) == (64, 24, 1024)
    assert measurement_sizes(vars(InfluenceOptions()), {"name": "encircle"})["measure"]
    assert not measurement_sizes(vars(InfluenceOptions()), {"name": "sumo"})["measure"]
