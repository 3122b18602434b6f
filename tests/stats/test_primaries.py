"""Holm over primaries by name, and the expected number of false supports."""

import pytest

from harness.stats import expected_false_supports, holm_over_primaries


def test_holm_of_a_textbook_family():
    # Steps by hand: .01 x 4, .02 x 3 = .06, .03 x 2 = .06, .04 raised to .06.
    p = {"h2": 0.04, "h1": 0.01, "h3": 0.03, "h5": 0.02}
    adjusted = holm_over_primaries(p)
    assert list(adjusted) == list(p)
    assert adjusted == pytest.approx({"h2": 0.06, "h1": 0.04, "h3": 0.06, "h5": 0.06})


def test_no_primary_needs_no_correction_and_no_number_is_refused():
    assert holm_over_primaries({}) == {}
    with pytest.raises(ValueError, match="p of 'h2' is nan"):
        holm_over_primaries({"h1": 0.1, "h2": float("nan")})


def test_expected_false_supports_count_what_each_test_can_reach():
    # Eight relations: .01 allows one step of 2/256; .05 six steps; a floor above alpha none.
    floor = 2 / 2**8
    assert expected_false_supports([0.01], [floor]) == floor
    assert expected_false_supports([0.05], [floor]) == 6 * floor
    assert expected_false_supports([0.01], [0.05]) == 0
    assert expected_false_supports([0.05] * 8, [None] * 8) == pytest.approx(0.4)
    # A step that equals alpha counts, rounding or not.
    assert expected_false_supports([0.3], [0.1]) == pytest.approx(0.3)


@pytest.mark.parametrize(("alpha", "floor"), [(0, None), (0.05, 0), (0.05, 2.0)])
def test_levels_outside_zero_to_one_are_refused(alpha, floor):
    with pytest.raises(ValueError, match="expected numbers between 0 and 1"):
        expected_false_supports([alpha], [floor])
