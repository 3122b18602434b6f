"""h4, other entities: what counts as found again and as lost, and how often worlds are decided."""

from collections import Counter

import numpy as np
import pytest

from harness import stats
from harness.findings.processes.redrawn import Again
from harness.findings.processes.rule import Decisions, ProcessRule

RULE = ProcessRule(threshold_d=1.0, alpha=0.01, permutations=300, seed=0)
RELATIONS, JACCARD, DRAWS = 16, 0.8, 8
HELD, OPEN, FAILED = stats.Decision.HELD, stats.Decision.UNDECIDED, stats.Decision.FAILED


def decisions(d, *, width=0.2, holds=True):
    """One place for each d, with intervals of this half width."""
    mean = np.array(d, dtype=float)
    known = np.ones(len(mean), dtype=bool)
    return Decisions(
        d_discovery=mean,
        d=mean,
        low=mean - width,
        high=mean + width,
        p=np.full(len(mean), 0.001),
        floor=0.001,
        selected=known,
        holds=known & (np.abs(mean) > RULE.threshold_d) & holds,
        least=np.abs(mean),
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (2.0, 1.1, Again(1, 1, 1)),  # near the bar with one draw, found with both
        (2.0, 0.9, Again(1, 0, 1)),  # may be there: its interval reaches beyond the bar
        (2.0, 0.5, Again(1, 0, 0)),  # surely lost
        (0.5, 2.0, Again(1, 0, 0)),  # the order does not matter
        (2.0, 2.0, Again(2, 2, 2)),  # asked both ways
        (2.0, -2.0, Again(2, 0, 0)),  # the opposite effect is another one
        (1.1, 0.5, Again(0, 0, 0)),  # near the bar with the only draw that finds it: not asked
        (1.1, 1.1, Again(0, 0, 0)),
    ],
)
def test_a_component_is_found_again_or_lost_or_may_be_there(first, second, expected):
    assert Again.of(RULE, decisions([first]), decisions([second]), metrics=1) == expected


def test_what_is_found_at_another_place_of_the_component_is_another_effect():
    one, other = decisions([2.0, 0.1, 1.5, 2.0]), decisions([0.1, 2.0, 1.5, 0.1])
    assert Again.of(RULE, one, other, metrics=2) == Again(4, 2, 2)


def test_a_component_that_misses_the_test_alone_may_be_there():
    # Nothing but p, or one relation left out, keeps it from being found.
    assert Again.of(RULE, decisions([2.0]), decisions([2.0], holds=False), 1) == Again(1, 0, 1)


def two_draws(components, items, other, seed, sd=0.6):
    """Both draws where a share of the components has another effect in the second draw.

    An effect is normal over components and differs between relations (SD .3). It is the same in
    both halves of a draw, whose items add noise.
    """
    generator = np.random.default_rng(seed)
    noise = np.sqrt(2 / (items / RELATIONS / 2))

    def effects():
        own = generator.normal(0, 0.3, (RELATIONS, components))
        return own + generator.normal(0, sd, components)

    first, drawn_again = effects(), effects()
    second = np.where(generator.random(components) < other, drawn_again, first)
    return [
        RULE.decide(*(true + generator.normal(0, noise, true.shape) for _ in range(2)))
        for true in (first, second)
    ]


def worlds(components, items, other):
    """How often it is held, open or failed, and the mean Jaccard index of the lists."""
    states, agreed = Counter(), []
    for seed in range(DRAWS):
        one, again = two_draws(components, items, other, seed)
        between = Again.of(RULE, one, again, metrics=1).agreement
        states[stats.decided(*between, JACCARD, ">")] += 1
        agreed.append(stats.jaccard(one.holds, again.holds))
    return states, float(np.mean(agreed))


@pytest.mark.parametrize("components", [270, 2000])
def test_where_effects_are_the_same_it_holds_although_the_lists_differ(components):
    states, agreed = worlds(components, items=200, other=0)
    assert agreed < JACCARD
    assert states[FAILED] == 0
    assert states[HELD] > DRAWS / 2


def test_where_effects_are_the_same_and_items_are_few_it_is_open():
    states, _ = worlds(2000, items=64, other=0)
    assert states == {OPEN: DRAWS}


@pytest.mark.parametrize("items", [64, 200])
def test_where_half_of_the_effects_are_others_it_never_holds(items):
    states, _ = worlds(2000, items, other=0.5)
    assert states[HELD] == 0
    assert states[FAILED] > DRAWS / 2


@pytest.mark.parametrize("components", [270, 2000])
def test_where_all_effects_are_others_it_is_refuted(components):
    states, _ = worlds(components, items=200, other=1)
    assert states == {FAILED: DRAWS}
