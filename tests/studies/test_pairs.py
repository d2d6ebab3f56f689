"""Paired comparisons against scipy, and Holm's correction against values by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from ilvf.studies.pairs import compare_pairs, corrected, holm

BASELINE = [1.0, 2.0, 4.0, 3.0]
VALUES = [1.5, 2.2, 4.9, 3.1]


def test_the_difference_and_its_test_are_those_of_scipy():
    found = compare_pairs("Encircle", "ILVF-P", VALUES, BASELINE)
    test = stats.ttest_rel(VALUES, BASELINE)
    assert found.pairs == 4
    assert found.difference == pytest.approx(np.mean(VALUES) - np.mean(BASELINE))
    assert found.p == pytest.approx(test.pvalue)
    assert found.interval == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_a_single_pair_has_no_test():
    found = compare_pairs("Encircle", "ILVF-P", [1.0], [3.0])
    assert found.difference == -2.0
    assert math.isnan(found.p)
    assert found.interval == (-math.inf, math.inf)


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (0.5, 0.0)])
def test_equal_differences_are_certain(shift, p):
    values = [value + shift for value in BASELINE]
    assert compare_pairs("Encircle", "ILVF-P", values, BASELINE).p == p


@pytest.mark.parametrize("baseline", [[], [1.0]])
def test_other_numbers_of_runs_are_refused(baseline, refused):
    with refused("ILVF-P on Encircle", "same seeds"):
        compare_pairs("Encircle", "ILVF-P", [1.0, 2.0], baseline)


def test_holm_multiplies_by_the_comparisons_that_are_left_and_stays_ascending():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_does_not_count_comparisons_without_a_test():
    first, second, third = holm([0.02, math.nan, 0.03])
    assert (first, third) == pytest.approx((0.04, 0.04))
    assert math.isnan(second)


def test_the_correction_changes_the_adjusted_p_only():
    found = [compare_pairs("Encircle", name, VALUES, BASELINE) for name in ("A", "B")]
    first, second = corrected(found)
    assert first.p == found[0].p
    assert first.adjusted_p == second.adjusted_p == pytest.approx(2 * found[0].p)


def test_holm_keeps_the_family_wise_error_rate():
    """Of 300 families of 5 true hypotheses, about 5 % have a rejection; uncorrected 23 %."""
    generator = np.random.default_rng(0)
    families = generator.uniform(size=(300, 5))
    errors = [min(holm(family.tolist())) < 0.05 for family in families]
    assert np.mean(errors) < 0.09
    assert np.mean(families.min(axis=1) < 0.05) > 0.15
