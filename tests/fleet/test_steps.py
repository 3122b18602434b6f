"""Which checkpoints are meant."""

from itertools import pairwise

import pytest

from harness.fleet.steps import available, chosen
from harness.models.specs import ModelError

PYTHIA = [0, *(2**n for n in range(10)), *range(1000, 143001, 1000)]


def test_a_logarithmic_range_takes_the_nearest_steps_there_are():
    found = chosen("1000..143000 log 10", PYTHIA, "pythia")
    assert (found[0], found[-1], len(found)) == (1000, 143000, 10)
    ratios = [b / a for a, b in pairwise(found)]
    assert max(ratios) / min(ratios) < 1.4  # even, as far as whole thousands allow


def test_an_even_range_is_even():
    assert chosen("0..4000 5", range(0, 5000, 1000), "m") == [0, 1000, 2000, 3000, 4000]


def test_steps_that_fall_together_are_taken_once():
    assert chosen("1..10 log 50", [1, 3, 10], "m") == [1, 3, 10]


def test_a_list_needs_nobody_to_say_what_there_is():
    assert chosen([512, 1], None, "m") == [1, 512]
    with pytest.raises(ModelError, match="give steps as a list"):
        chosen("all", None, "m")


@pytest.mark.parametrize("asked", ["9..1 log 3", "0..9 log 3", "1..9 log 0", "1-9", 7, [], [-1]])
def test_what_cannot_be_steps_is_refused(asked):
    with pytest.raises(ModelError, match="steps is"):
        chosen(asked, [1, 5, 9], "m")


def test_a_range_without_a_step_says_what_there_is():
    with pytest.raises(ModelError, match="there are 2, from 1 to 5"):
        chosen("10..20 log 3", [1, 5], "m")


def test_only_folders_of_the_pattern_are_steps(tmp_path):
    for name in ("step-1", "step-22", "step-x", "old-step-3", "step-4.bak"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-5").write_text("")
    assert available("step-{step}", tmp_path) == [1, 22]
