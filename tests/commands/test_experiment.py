"""`ilvf.Experiment`: the commands from Python."""

import signal

import pytest
import torch

import ilvf
from helpers import TINY
from ilvf.commands.experiment import words_of
from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.reports.pictures import Pictures
from run_helpers import run_folders

CONFIG = dict(word.split("=") for word in TINY)


def learned(folder):
    """The metrics of a run, without times."""
    rows = read_rows(folder / METRICS)
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


@pytest.mark.slow
def test_an_experiment_is_the_command(out, recipe, capfd):
    """Train, evaluate, report the influence and resume; the command learns the same."""
    experiment = ilvf.Experiment("encircle", "ilvf_p", {**CONFIG, "out": out})
    module = experiment.run()
    assert module.frames == 80
    assert f"ilvf train ilvf_p resume={experiment.folder}" in capfd.readouterr().out
    assert experiment.metrics.index.tolist() == [40, 80]
    evaluated = experiment.evaluate({"algorithm.eval_episodes": 3})
    recorded = experiment.metrics["eval/return/team"].iloc[-1]
    assert evaluated["return/team"] == pytest.approx(recorded, abs=1e-3)
    options = {"influence": {"measure": False, "episodes": 2, "moments": "0.5"}}
    report = experiment.influence(options)
    assert all(isinstance(value, float) for value in report.values())
    assert (experiment.folder / "influence" / "report.md").is_file()

    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    (other,) = [folder for folder in run_folders(out) if folder != experiment.folder]
    assert learned(other) == learned(experiment.folder)

    assert experiment.resume({"trainer.max_epochs": 3}).frames == 120
    assert len(run_folders(out)) == 2
    assert experiment.metrics.index.tolist() == [40, 80, 120]


@pytest.mark.slow
def test_a_run_that_is_interrupted_has_saved_and_goes_on(out, monkeypatch):
    """The signal comes in the evaluation after iteration 2 of 3."""
    config = {**CONFIG, "out": out, "trainer.max_epochs": 3}
    experiment = ilvf.Experiment("encircle", "mappo", config)
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "on_evaluation", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            experiment.run()
    assert experiment.metrics.index.tolist() == [40, 80]
    assert experiment.resume().frames == 120


def test_keys_are_dotted_or_nested_and_values_are_pythons():
    config = {"env": {"kwargs": {"N": 5}}, "trainer.progress": False, "seed": torch.tensor(3)}
    assert words_of(config) == ["env.kwargs.N=5", "trainer.progress=false", "seed=3"]
    assert words_of({"trainer.devices": (0, 2), "algorithm.lr_end": None}) == [
        "trainer.devices=[0, 2]",
        "algorithm.lr_end=null",
    ]


@pytest.mark.parametrize("word", ["7", "off", "null", "1e3", "a: b", "x #1", "[1", '"', "plain"])
def test_a_word_for_the_environment_stays_a_word(word):
    config = {"env.task": "zoo", "env.kwargs.name": word}
    assert ilvf.Experiment("pettingzoo", config=config).config.env.kwargs["name"] == word


def test_the_config_is_checked_at_once(refused):
    with refused("algorithm.taus", "did you mean 'algorithm.tau'"):
        ilvf.Experiment(config={"algorithm.taus": 1})
    with refused("env=encircles is not known", "did you mean 'encircle'"):
        ilvf.Experiment("encircles")
    with refused("the algorithm 'mapo' is not known"):
        ilvf.Experiment(algorithm="mapo")
    with refused("config is not a mapping"):
        ilvf.Experiment(config=["seed=1"])
    with refused("task=3 must be a word"):
        ilvf.Experiment(3)


def test_nothing_can_be_read_before_the_run(refused):
    experiment = ilvf.Experiment()
    for method in (experiment.resume, experiment.evaluate, experiment.influence):
        with refused("there is no run yet"):
            method()
    with refused("there is no run yet"):
        experiment.metrics  # noqa: B018
