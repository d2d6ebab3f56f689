"""Statistics over runs and tasks against values by hand, loops, and simulations."""

import numpy as np
import pytest
from scipy import stats

from ilvf.analysis.aggregates import (
    UNBOUNDED,
    curve_band,
    curve_resamples,
    improvement_interval,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    profile_band,
    stratified_interval,
    stratified_resamples,
)


def mean(scores):
    return scores.mean(axis=(-2, -1))


def test_the_interquartile_mean_is_the_mean_of_the_middle_half_of_all_runs():
    scores = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 800.0]])
    assert interquartile_mean(scores) == (3 + 4 + 5 + 6) / 4


def test_the_interquartile_mean_of_five_runs_leaves_out_one_on_each_side():
    assert interquartile_mean(np.array([[9.0], [1.0], [2.0], [3.0], [-5.0]])) == 2.0


def test_the_optimality_gap_does_not_count_what_is_above_the_target():
    scores = np.array([[0.5, 2.0], [1.0, 0.0]])
    assert optimality_gap(scores) == pytest.approx(1 - (0.5 + 1 + 1 + 0) / 4)
    assert optimality_gap(scores, target=2.0) == pytest.approx(2 - 3.5 / 4)


@pytest.mark.parametrize("statistic", [interquartile_mean, optimality_gap, mean])
def test_statistics_of_many_resamples_are_those_of_each(statistic):
    resamples = np.random.default_rng(0).normal(size=(7, 5, 3))
    expected = [float(statistic(scores)) for scores in resamples]
    assert statistic(resamples) == pytest.approx(expected)


def test_resamples_stay_within_their_task():
    scores = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    resamples = stratified_resamples(scores, draws=500)
    assert set(resamples[..., 0].ravel()) == {1.0, 2.0, 3.0}
    assert set(resamples[..., 1].ravel()) == {10.0, 20.0, 30.0}
    together = resamples[..., 1] == 10 * resamples[..., 0]
    assert 0.25 < together.mean() < 0.42  # runs of tasks are drawn independently: 1/3


def test_the_interval_of_one_task_is_the_percentile_bootstrap_of_scipy():
    scores = np.random.default_rng(1).normal(size=(30, 1))
    found = stratified_interval(scores, mean)
    interval = stats.bootstrap((scores[:, 0],), np.mean, method="percentile", rng=2)
    assert found == pytest.approx(interval.confidence_interval, abs=0.03)


def test_intervals_cover_the_mean_as_often_as_they_say():
    generator = np.random.default_rng(3)
    covered = []
    for _ in range(200):
        low, high = stratified_interval(generator.normal(size=(20, 3)), mean)
        covered.append(low < 0 < high)
    assert 0.89 < np.mean(covered) < 0.99


def test_a_single_run_has_no_interval():
    scores = np.ones((1, 2))
    assert stratified_interval(scores, mean) == UNBOUNDED
    assert improvement_interval(scores, np.ones((3, 2))) == UNBOUNDED


def test_the_profile_is_the_share_of_runs_above_each_threshold():
    scores = np.array([[0.1, 0.5], [0.5, 0.9]])
    assert performance_profile(scores, np.array([0.0, 0.1, 0.5, 0.9])).tolist() == [
        1,
        0.75,
        0.25,
        0,
    ]


def test_the_band_of_the_profile_contains_it():
    scores = np.random.default_rng(4).uniform(size=(10, 2))
    thresholds = np.linspace(0, 1, 11)
    profile = performance_profile(scores, thresholds)
    low, high = profile_band(scores, thresholds)
    assert (low <= profile).all()
    assert (profile <= high).all()
    assert (low < high)[3:8].all()


def test_the_probability_of_improvement_is_the_u_statistic_averaged_over_tasks():
    generator = np.random.default_rng(5)
    x = generator.integers(5, size=(6, 2)).astype(float)
    y = generator.integers(5, size=(4, 2)).astype(float)
    u = [stats.mannwhitneyu(x[:, k], y[:, k]).statistic / 24 for k in range(2)]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(u))
    assert probability_of_improvement(x, x) == pytest.approx(0.5)


def test_the_interval_of_the_probability_of_improvement_is_narrow_for_clear_cases():
    x = np.arange(5.0)[:, None]
    assert improvement_interval(x + 100, x) == (1.0, 1.0)
    low, high = improvement_interval(x, x + 0.5)
    assert 0 < low < probability_of_improvement(x, x + 0.5) < high < 1


def test_the_band_of_curves_draws_whole_runs():
    curves = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])[:, None]
    middle, low, high = curve_band(curves)
    assert middle.tolist() == [1.5, 2.5]
    assert high - low == pytest.approx([high[0] - low[0]] * 2)
    assert low[0] < 1.5 < high[0]
    for limit in curve_band(curves[:1]):
        assert limit.tolist() == [0.0, 1.0]


def test_each_point_of_a_band_is_the_interval_of_its_scores():
    curves = np.random.default_rng(6).normal(size=(12, 3, 2))
    middle, low, high = curve_band(curves)
    for point in range(2):
        scores = curves[..., point]
        found = (low[point], high[point])
        assert middle[point] == pytest.approx(interquartile_mean(scores))
        assert found == pytest.approx(stratified_interval(scores, interquartile_mean), abs=0.08)


def test_a_band_of_many_points_is_computed_in_parts(monkeypatch):
    curves = np.random.default_rng(7).normal(size=(5, 2, 7))
    whole = curve_band(curves)
    monkeypatch.setattr("ilvf.analysis.aggregates.MOST_NUMBERS", 3 * 500 * 5 * 2)
    for limit, expected in zip(curve_band(curves), whole, strict=True):
        assert limit == pytest.approx(expected)


def test_curves_are_drawn_within_their_task():
    curves = np.array([[[1.0], [10.0]], [[2.0], [20.0]]])
    drawn = curve_resamples(curves)
    assert set(drawn[:, :, 0].ravel()) == {1.0, 2.0}
    assert set(drawn[:, :, 1].ravel()) == {10.0, 20.0}
    together = drawn[..., 1, 0] == 10 * drawn[..., 0, 0]
    assert 0.4 < together.mean() < 0.6
