"""Sweeps by a sampler: trials run in batches, are continued, and may fail."""

import sys

import pytest
from filelock import FileLock

from ilvf.experiment.jobs import RunsFailed
from ilvf.studies.description import StudyScale
from ilvf.studies.space import Range, Values
from ilvf.studies.sweep_report import ranking
from ilvf.studies.trials import LOCK, STORAGE, SampledSweep, distribution_of, opened
from study_helpers import WritingEngine, tiny_sweep

pytestmark = pytest.mark.slow
pytest.importorskip("optuna")
AXES = (
    Range("algorithm.tau", 0.1, 5.0, log=False),
    Range("algorithm.lr", 1e-4, 1e-2, log=True),
    Range("algorithm.depth", 1, 3, log=False),
    Values("algorithm.share", (True, False)),
)


def sweep(*axes, **changes):
    return tiny_sweep(axes or AXES, **{"sampler": "tpe", **changes})


def tau_of(arguments):
    return -abs(float(arguments["algorithm.tau"]) - 2)


def trials_in(folder, made):
    return opened(folder / STORAGE, made).get_trials()


def test_trials_run_in_batches_and_their_values_are_told(folder):
    engine = WritingEngine(tau_of)
    SampledSweep(sweep(), folder).run(3, engine)
    assert engine.batches == [
        ["encircle_trial-0_s0", "encircle_trial-1_s0"],
        ["encircle_trial-2_s0"],
    ]
    trials = trials_in(folder, sweep())
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    for trial in trials:
        assert trial.value == pytest.approx(-abs(trial.params["algorithm.tau"] - 2))
        assert 1e-4 <= trial.params["algorithm.lr"] <= 1e-2
        assert trial.params["algorithm.depth"] in (1, 2, 3)
        assert trial.params["algorithm.share"] in ("true", "false")


def test_seeds_of_a_trial_share_its_value(folder):
    made = sweep(scale=StudyScale(seeds="0-1"))
    engine = WritingEngine(lambda arguments: float(arguments["seed"]))
    SampledSweep(made, folder).run(2, engine)
    assert [len(batch) for batch in engine.batches] == [2, 2]
    assert [trial.value for trial in trials_in(folder, made)] == [0.5, 0.5]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_later_call_goes_on_with_other_values(sampler, folder):
    made = sweep(sampler=sampler)
    SampledSweep(made, folder).run(2, WritingEngine(tau_of))
    again = WritingEngine(tau_of)
    SampledSweep(made, folder).run(2, again)
    assert again.batches == []
    SampledSweep(made, folder).run(4, again)
    assert again.batches == [["encircle_trial-2_s0", "encircle_trial-3_s0"]]
    taus = {trial.params["algorithm.tau"] for trial in trials_in(folder, made)}
    assert len(taus) == 4


def test_two_processes_do_not_run_a_sweep_at_once(folder, refused):
    sampled = SampledSweep(sweep(), folder)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK), refused("another process runs the sweep", str(folder)):
        sampled.run(2, WritingEngine(tau_of))
    sampled.run(2, WritingEngine(tau_of))
    assert len(trials_in(folder, sweep())) == 2


def test_a_trial_that_an_interruption_has_left_runs_again(folder):
    study = opened(folder / STORAGE, sweep())
    interrupted = study.ask({axis.key: distribution_of(axis) for axis in AXES})
    cut = study.ask()  # killed before it had its values
    engine = WritingEngine(tau_of, at_a_time=1)
    sampled = SampledSweep(sweep(), folder)
    assert sampled.summary(2).startswith("0 of 2 trials have ended: algorithm.tau=0.1..5.0 ")
    sampled.run(2, engine)
    assert engine.batches == [[f"encircle_trial-{interrupted.number}_s0"]]
    states = [trial.state.name for trial in trials_in(folder, sweep())]
    assert states == ["COMPLETE", "FAIL"]
    assert cut.number == 1


def test_a_trial_whose_run_fails_is_not_repeated(folder):
    def fails_once(arguments):
        return None if "trial-0" in engine.batches[-1][0] else 1.0

    engine = WritingEngine(fails_once, at_a_time=1)
    with pytest.raises(RunsFailed, match="trial-0"):
        SampledSweep(sweep(), folder).run(2, engine)
    sampled = SampledSweep(sweep(), folder)
    sampled.run(2, engine)
    assert len(engine.batches) == 2
    runner = sampled.runner()
    assert list(ranking(runner.table, runner.study).index) == ["trial 1"]


def test_values_that_do_not_fit_together_make_a_failed_trial(folder, capsys):
    axes = (Range("algorithm.lr", 0.001, 0.002, log=False), Values("algorithm.lr_end", (None, 0.1)))
    made = sweep(*axes, sampler="random")
    SampledSweep(made, folder).run(6, WritingEngine(lambda arguments: 1.0))
    states = {t.params["algorithm.lr_end"]: t.state.name for t in trials_in(folder, made)}
    assert states == {"null": "COMPLETE", "0.1": "FAIL"}
    assert "is left out" in capsys.readouterr().out


def test_the_sampler_finds_the_better_half(folder):
    """TPE, which sees the values of earlier batches, tries the better values more often."""
    made = sweep(Range("algorithm.tau", 0.1, 5.0, log=False))
    engine = WritingEngine(lambda arguments: -float(arguments["algorithm.tau"]), at_a_time=8)
    SampledSweep(made, folder).run(24, engine)
    taus = [trial.params["algorithm.tau"] for trial in trials_in(folder, made)]
    assert sum(taus[16:]) / 8 < 1.5  # the mean of the range is 2.55


def test_without_optuna_the_command_to_install_it_is_named(folder, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with refused("sampler=tpe needs Optuna", 'pip install "ilvf[optuna]"'):
        SampledSweep(sweep(), folder).runner()


def test_a_damaged_storage_and_an_empty_one_are_refused(folder, refused):
    with refused("no trial", STORAGE):
        SampledSweep(sweep(), folder).runner()
    (folder / STORAGE).write_bytes(b"no database" * 100)
    with refused(STORAGE, "restore it or delete it"):
        SampledSweep(sweep(), folder).runner()
