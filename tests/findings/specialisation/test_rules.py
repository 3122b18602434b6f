"""The published and the controlled rule on data whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

from harness import stats
from harness.activations.extracted import Activations
from harness.activations.features import HEAD_METRICS, published_names
from harness.findings.specialisation.cells import (
    Cells,
    controlled_cells,
    head_cells,
    layer_cells,
    neuron_cells,
    published_cells,
)
from harness.findings.specialisation.contrasts import contrast
from harness.findings.specialisation.folds import published_consistency
from harness.findings.specialisation.rules import ControlledRule, PublishedRule
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from tests.support.synthetic import (
    SHAPE,
    contrast_of,
    crossed_set,
    noise,
    permuted,
    plain_set,
    plant,
    planted,
    recall_rows,
    rows_of,
)

RULE = ControlledRule(threshold_d=0.5, alpha=0.01, permutations=199, seed=0)
LARGE = replace(RULE, threshold_d=1.0)
BH = PublishedRule(threshold_d=0.5, alpha=0.01, votes=2, correction="benjamini-hochberg")
PLANTS = {
    "layer": ("layers", (1, 4), (1, -1), "gate_mean_abs"),
    "head": ("heads", (2, 3, 1), (2, 3), "maximum"),
    "neuron": ("neurons", (3, 5), (3, 5), "neurons"),
}
SIZE = 3.0


def found(table) -> list[tuple[int, int, str]]:
    rows = np.flatnonzero(table.passed)
    return [(int(table.layer[i]), int(table.index[i]), str(table.type[i])) for i in rows]


# Cells


def test_cells_say_where_every_value_comes_from():
    prompts = crossed_set(4)
    a = noise(prompts, 0)
    heads = head_cells(a, published_names(HEAD_METRICS))
    for cell, (layer, head) in enumerate(zip(heads.layer, heads.index, strict=True)):
        expected = a.heads[:, layer, head, cell % 5]
        assert np.array_equal(heads.values[:, cell], expected)
    layers = layer_cells(a, ("gate_sparsity", "resid_norm"))
    assert np.array_equal(layers.values[:, 2 * 3 + 1], a.layers[:, 3, 0])
    neurons = neuron_cells(a, "gates")
    assert np.array_equal(neurons.values[:, 3 * SHAPE["neurons"] + 5], a.gates[:, 3, 5])
    assert neuron_cells(a, "neurons").values.base is not neurons.values.base


# The controlled rule finds what is there


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize(("sign", "task"), [(1, "recall"), (-1, "reasoning")])
def test_a_planted_effect_is_found_where_it_is_with_its_sign(kind, sign, task):
    prompts = crossed_set(60, templates=4)
    array, cell, (layer, index), metric = PLANTS[kind]
    for seed in range(3):
        a = plant(noise(prompts, seed, main=2), array, cell, recall_rows(prompts), sign * 2 * SIZE)
        table = LARGE(contrast_of(kind, a, prompts))
        assert found(table) == [(layer, index, task)]
        at = int(np.flatnonzero(table.passed)[0])
        assert table.metrics[table.metric[at]] == metric
        assert np.sign(table.effect[at]) == np.sign(table.effect_discovery[at]) == sign
        assert table.q[at] <= LARGE.alpha


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("only", [DISCOVERY, EVALUATION])
def test_an_effect_in_one_half_of_the_facts_is_not_found(kind, only):
    prompts = crossed_set(60)
    array, cell, _, _ = PLANTS[kind]
    rows = rows_of(prompts, lambda i: i.task == "recall" and i.split == only)
    for seed in range(5):
        a = plant(noise(prompts, seed), array, cell, rows, SIZE)
        assert RULE(contrast_of(kind, a, prompts)).count == 0


@pytest.mark.parametrize("kind", PLANTS)
def test_an_effect_that_turns_its_sign_between_the_halves_is_not_found(kind):
    prompts = crossed_set(60)
    array, cell, _, _ = PLANTS[kind]
    rows = recall_rows(prompts)
    half = rows_of(prompts, lambda i: i.split == EVALUATION)
    a = plant(noise(prompts, 1), array, cell, rows & half, SIZE)
    a = plant(a, array, cell, rows & ~half, -SIZE)
    c = contrast_of(kind, a, prompts)
    assert np.abs(RULE.decide(c).d_discovery).max() > 1 < np.abs(RULE.decide(c).d).max()
    assert RULE(c).count == 0


@pytest.mark.parametrize("templates", [2, 4])
@pytest.mark.parametrize("size", [SIZE, 30.0])
def test_an_effect_in_one_template_only_is_not_found(templates, size):
    # By sign alone chance would let it through once in 2^(templates - 1).
    prompts = crossed_set(160, templates=templates)
    rows = rows_of(prompts, lambda i: i.task == "recall" and i.template == "t0")
    chosen = 0
    for seed in range(25):
        c = contrast_of("layer", plant(noise(prompts, seed), "layers", (1, 0), rows, size), prompts)
        decided = RULE.decide(c)
        chosen += bool(decided.selected.any())
        assert not decided.holds.any()
    assert chosen > 5  # it was strong enough to be chosen


def test_an_effect_that_turns_its_sign_in_one_template_is_not_found():
    prompts = crossed_set(160, templates=4)
    rows = recall_rows(prompts)
    odd = rows_of(prompts, lambda i: i.template == "t3")
    a = plant(noise(prompts, 0), "layers", (1, 0), rows, 4.0)
    assert RULE(contrast_of("layer", a, prompts)).count == 1
    a = plant(a, "layers", (1, 0), rows & odd, -5.0)
    decided = RULE.decide(contrast_of("layer", a, prompts))
    assert decided.selected[5]
    assert not decided.holds.any()


def test_choice_depends_on_discovery_pairs_alone():
    prompts = crossed_set(60)
    a = planted(noise(prompts, 0), prompts)
    other = planted(noise(prompts, 1), prompts, -2.0)
    half = rows_of(prompts, lambda i: i.split == EVALUATION)
    mixed = Activations.from_arrays(
        {
            name: np.where(half.reshape(-1, *[1] * (v.ndim - 1)), other.arrays()[name], v)
            for name, v in a.arrays().items()
        }
    )
    one, two = (RULE.decide(contrast_of("head", x, prompts)) for x in (a, mixed))
    assert np.array_equal(one.d_discovery, two.d_discovery)
    assert np.array_equal(one.p_discovery, two.p_discovery)
    assert np.array_equal(one.selected, two.selected)
    assert one.strongest == two.strongest
    assert not np.array_equal(one.d, two.d)


def test_evaluation_p_is_corrected_over_the_chosen_cells_alone():
    prompts = crossed_set(60)
    c = contrast_of("head", planted(noise(prompts, 0), prompts), prompts)
    decided = RULE.decide(c)
    evaluation = c.split == EVALUATION
    alone = stats.sign_flip_max(
        c.values[evaluation][:, decided.selected], permutations=199, seed=0
    ).p_adjusted
    assert np.array_equal(decided.p[decided.selected], alone)
    assert (decided.p[~decided.selected] == 1).all()


# What must never pass


@pytest.mark.parametrize("value", [0.0, 7.5, -1e-30])
def test_constant_cells_never_pass_and_are_counted(value):
    prompts = crossed_set(30)
    a = noise(prompts, 0)
    a.layers[:, 2] = value
    a.layers[:, 1, 0] = np.where(recall_rows(prompts), 1.0, 1.0)
    c = contrast_of("layer", a, prompts)
    assert c.cells.constant == 6
    decided = replace(RULE, threshold_d=0.0, alpha=1.0).decide(c)
    assert not decided.holds[10:15].any()
    assert (decided.d[10:15] == 0).all()
    table = replace(BH, threshold_d=0.0, alpha=1.0, votes=1)(
        published_cells("layer", a), plain_like(prompts)
    )
    assert not table.passed[2]
    assert (table.cells_d[2] == 0).all()


def test_a_cell_constant_within_each_task_is_an_infinite_effect_and_passes():
    prompts = crossed_set(30)
    a = noise(prompts, 0)
    a.neurons[:, 3, 5] = np.where(recall_rows(prompts), 1.0, 0.0)
    table = LARGE(contrast_of("neuron", a, prompts))
    assert found(table) == [(3, 5, "recall")]
    assert table.effect[np.flatnonzero(table.passed)] == np.inf


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_an_error_and_no_zero(bad):
    prompts = crossed_set(20)
    a = noise(prompts, 0)
    a.neurons[7, 3, 5] = bad
    with pytest.raises(ValueError, match=r"cell \(29,\), row 7"):
        RULE(contrast_of("neuron", a, prompts))
    plain = plain_set(20)
    a = noise(plain, 0)
    a.gates[7, 3, 5] = bad
    with pytest.raises(ValueError, match=r"cell \(29,\)"):
        BH(published_cells("neuron", a), plain)


def test_the_order_of_items_does_not_matter():
    prompts = crossed_set(40)
    a = planted(noise(prompts, 0), prompts)
    order = np.random.default_rng(0).permutation(len(prompts))
    shuffled = replace(prompts, items=tuple(prompts.items[i] for i in order))
    for kind in PLANTS:
        one = LARGE(contrast_of(kind, a, prompts))
        two = LARGE(contrast_of(kind, permuted(a, order), shuffled))
        assert np.allclose(one.cells_d, two.cells_d, rtol=1e-5)
        assert found(one) == found(two) != []
        published = [BH(published_cells(kind, x), p) for x, p in pairs_of(a, order, prompts)]
        assert np.allclose(published[0].cells_d, published[1].cells_d, rtol=1e-5)
        assert np.allclose(published[0].q, published[1].q, rtol=1e-6)


def pairs_of(a: Activations, order, prompts: PromptSet):
    shuffled = replace(prompts, items=tuple(prompts.items[i] for i in order))
    return (a, prompts), (permuted(a, order), shuffled)


def test_main_effects_of_order_and_label_leave_every_contrast_as_it_is():
    prompts = crossed_set(30)
    small, strong = noise(prompts, 3, main=0.0), noise(prompts, 3, main=50.0)
    one, two = (contrast_of("head", a, prompts).values for a in (small, strong))
    assert np.abs(one).max() > 1
    assert np.allclose(one, two, atol=1e-4)


# Uncrossed sets


@pytest.mark.parametrize("templates", [1, 2, 4, 7])
def test_uncrossed_sets_are_flipped_by_template_and_few_cannot_reach_alpha(templates):
    prompts = plain_set(56, templates)
    a = plant(noise(prompts, 0), "heads", (2, 3, 1), recall_rows(prompts), 30.0)
    c = contrast_of("head", a, prompts)
    assert LARGE.floor(c) == 0.5 ** (templates - 1) > LARGE.alpha
    assert LARGE(c).count == 0


def test_uncrossed_sets_of_many_templates_can_be_judged():
    prompts = plain_set(72, 9)
    a = plant(noise(prompts, 0), "heads", (2, 3, 1), recall_rows(prompts), 6.0)
    rule = replace(LARGE, permutations=999)
    c = contrast_of("head", a, prompts)
    assert rule.floor(c) == 1 / 256
    assert found(rule(c)) == [(2, 3, "recall")]


def test_pairs_without_the_same_number_of_prompts_a_task_are_an_error():
    prompts = crossed_set(6)
    a = noise(prompts, 0)
    short = replace(prompts, items=prompts.items[:-1])
    with pytest.raises(ValueError, match=r"pair 'p5' holds 1 recall and 2 reason"):
        contrast(controlled_cells("head", permuted(a, range(len(short)))), short)
    one_task = prompts.where(lambda item: item.task == "recall")
    with pytest.raises(ValueError, match="no pair of made-crossed holds prompts of both"):
        contrast_of("head", noise(one_task, 0), one_task)


# Exchanged labels


def test_flipping_pairs_exchanges_their_prompts_and_the_sign_of_their_contrasts():
    prompts = crossed_set(20)
    c = contrast_of("head", noise(prompts, 0, main=3), prompts)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], 20)
    f = c.flipped(signs)
    again = stats.pair_contrast(c.cells.values, f.treated, f.control)
    assert np.allclose(f.values, again, atol=1e-6)
    for pair in range(20):
        same = signs[pair] > 0
        assert np.array_equal(f.treated[pair], (c.treated if same else c.control)[pair])
        assert np.array_equal(f.control[pair], (c.control if same else c.treated)[pair])
    everything = np.arange(20)
    assert np.allclose(c.flipped(-np.ones(20)).effect(everything), -c.effect(everything))


def test_shuffled_labels_rarely_reach_the_bar_however_strong_the_effect():
    prompts = crossed_set(60)
    for seed in range(3):
        c = contrast_of("head", planted(noise(prompts, seed), prompts, 9.0), prompts)
        assert RULE(c).count == 1
        signs = stats.random_signs(np.arange(len(c.values)), draws=40, seed=seed)
        counts = np.array([RULE(c.flipped(row)).count for row in signs])
        assert (counts > 0).mean() <= 0.05


# Error rates


NULLS = [("normal", 0.0), ("heavy", 5.0), ("correlated", 5.0), ("unequal", 5.0)]


@pytest.mark.parametrize(("draw", "main"), NULLS)
def test_null_data_are_supported_no_more_often_than_alpha(draw, main):
    prompts = crossed_set(40)
    data, supported, alpha = 200, {"layer": 0, "head": 0, "neuron": 0}, 0.05
    chosen_anything = 0
    for seed in range(data):
        a = noise(prompts, 1000 + seed, draw=draw, main=main)
        for kind in supported:
            decided = ControlledRule(
                threshold_d=0.0, alpha=alpha, permutations=99, seed=seed
            ).decide(contrast_of(kind, a, prompts))
            supported[kind] += bool(decided.holds.any())
            chosen_anything += bool(decided.selected.any())
    # Twice alpha: choosing and judging are two independent tests. 4 in 200 has p < 0.001 at 0.0025.
    assert max(supported.values()) <= 3
    # And the half that chooses keeps its own family-wise rate: exact, so within its own band.
    low, high = stats.binomial_interval(chosen_anything, 3 * data, level=0.999)
    assert low <= alpha <= high


@pytest.mark.parametrize(
    ("kind", "threshold", "size"), [("layer", 0.5, 0.8), ("head", 1.0, 1.5), ("neuron", 1.0, 1.5)]
)
def test_power_with_a_hundred_and_a_hundred_pairs_is_high(kind, threshold, size):
    prompts = crossed_set(200, templates=4)
    array, cell, (layer, index), _ = PLANTS[kind]
    rule, rows = (
        ControlledRule(threshold_d=threshold, alpha=0.01, permutations=199, seed=0),
        recall_rows(prompts),
    )
    runs, hits = 60, 0
    for seed in range(runs):
        # One prompt's spread: 1 of its own, 0.5 shared with its pair.
        a = plant(noise(prompts, seed), array, cell, rows, size * np.sqrt(1.25))
        hits += found(rule(contrast_of(kind, a, prompts))) == [(layer, index, "recall")]
    assert hits / runs >= 0.9


# The published rule


def plain_like(prompts: PromptSet) -> PromptSet:
    return replace(prompts, crossed=False)


def table_of(columns: dict[str, tuple[list[float], list[float]]], rule: PublishedRule, metrics=1):
    """Cells whose recall and reasoning values are given; one pair a prompt of each."""
    n = len(next(iter(columns.values()))[0])
    prompts = plain_set(n)
    values = np.empty((2 * n, len(columns)))
    for i, (recall, reasoning) in enumerate(columns.values()):
        values[::2, i], values[1::2, i] = recall, reasoning
    count = len(columns) // metrics
    layer = np.repeat(np.arange(count), metrics)
    names = tuple(f"m{i}" for i in range(metrics))
    return rule(Cells("layer", values, layer, np.full_like(layer, -1), names), prompts)


def test_the_published_rule_by_hand():
    # Five against five, separated: U = 25, z = (12.5 - .5) / sqrt(25 * 11 / 12) = 2.5069.
    low, high, alike = [1.0, 2, 3, 4, 5], [11.0, 12, 13, 14, 15], [1.1, 2.1, 2.9, 4.1, 4.9]
    rule = PublishedRule(threshold_d=0.5, alpha=0.05, votes=1, correction="bonferroni")
    table = table_of({"up": (high, low), "down": (low, high), "none": (low, alike)}, rule)
    d = 10 / np.sqrt(2.5)
    assert np.allclose(table.effect, [d, -d, (3 - 3.02) / np.sqrt((2.5 + 2.312) / 2)])
    assert np.allclose(table.q[:2], 3 * 0.012185780355344813)
    assert table.passed.tolist() == [True, True, False]
    assert table.type.tolist() == ["recall", "reasoning", ""]
    assert np.isnan(table.effect_discovery).all()
    halved = replace(rule, alpha=0.0365)  # 3 x .01219 = .03656: just not
    assert table_of({"up": (high, low), "a": (low, low), "b": (low, low)}, halved).count == 0


@pytest.mark.parametrize("correction", ["benjamini-hochberg", "bonferroni"])
def test_the_published_rule_agrees_with_scipy_and_statsmodels(correction):
    prompts = plain_set(30)
    a = noise(prompts, 5)
    for layer, size in ((0, 1.0), (1, -1.5), (2, 1.5)):
        for metric in range(3):
            a = plant(a, "heads", (layer, layer, metric), recall_rows(prompts), size)
    rule = PublishedRule(threshold_d=0.6, alpha=0.05, votes=2, correction=correction)
    table = rule(published_cells("head", a), prompts)
    one, two = a.heads[recall_rows(prompts)], a.heads[~recall_rows(prompts)]
    p = mannwhitneyu(one, two, method="asymptotic").pvalue[..., :5].reshape(16, 5)
    method = "fdr_bh" if correction == "benjamini-hochberg" else "bonferroni"
    q = np.array([multipletests(p[:, m], method=method)[1] for m in range(5)]).T
    pooled = np.sqrt((one.var(0, ddof=1) + two.var(0, ddof=1)) / 2)
    d = ((one.mean(0) - two.mean(0)) / pooled)[..., :5].reshape(16, 5)
    assert np.allclose(table.cells_d, d, rtol=1e-4)
    assert np.allclose(table.q, q[np.arange(16), table.metric], rtol=1e-6)
    votes = (q <= 0.05) & (np.abs(d) > 0.6)
    assert table.passed.tolist() == (votes.sum(1) >= 2).tolist()
    assert table.passed[[0, 5, 10]].all()
    balance = np.sign((np.sign(d) * votes).sum(1)).astype(int)
    types = np.array(["mixed", "recall", "reasoning"])[balance]
    assert table.type[table.passed].tolist() == types[table.passed].tolist()


@pytest.mark.parametrize(
    ("signs", "votes", "passes", "kind"),
    [
        ((1, 1, 1, 0, 0), 3, True, "recall"),
        ((-1, -1, -1, 1, 0), 3, True, "reasoning"),
        ((1, 1, -1, -1, 0), 3, True, "mixed"),
        ((1, 1, 0, 0, 0), 3, False, ""),
        ((1, 1, -1, 0, 0), 3, True, "recall"),
        ((1, -1, 0, 0, 0), 2, True, "mixed"),
    ],
)
def test_votes_are_counted_and_the_majority_names_the_type(signs, votes, passes, kind):
    prompts = plain_set(30)
    a = noise(prompts, 2)
    for metric, sign in enumerate(signs):
        a = plant(a, "heads", (1, 2, metric), recall_rows(prompts), 4.0 * sign)
    table = PublishedRule(
        threshold_d=1.0, alpha=0.01, votes=votes, correction="benjamini-hochberg"
    )(published_cells("head", a), prompts)
    at = 1 * SHAPE["heads"] + 2
    assert bool(table.passed[at]) is passes
    assert table.type[at] == kind
    assert table.count == passes


def test_what_is_shown_of_a_component_is_a_vote_that_was_counted():
    # One metric falls far, two rise less: recall wins, and the shown effect must not be negative.
    prompts = plain_set(30)
    a = noise(prompts, 2)
    for metric, size in enumerate((-20.0, 4.0, 4.0)):
        a = plant(a, "heads", (1, 2, metric), recall_rows(prompts), size)
    table = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")(
        published_cells("head", a), prompts
    )
    at = int(np.flatnonzero(table.passed)[0])
    assert table.type[at] == "recall"
    assert table.effect[at] > 1
    assert table.q[at] <= 0.01


def test_nothing_differs_from_a_class_without_a_spread():
    prompts = plain_set(30).where(lambda item: item.task == "recall" or item.pair == "p0")
    table = BH(published_cells("head", noise(prompts, 0)), prompts)
    assert (table.count, set(table.q), set(table.effect)) == (0, {1.0}, {0.0})


def test_published_consistency_counts_mixed_as_a_type():
    prompts = plain_set(30)
    a = noise(prompts, 2)
    for metric, sign in enumerate((1, 1, -1, -1)):
        a = plant(a, "heads", (1, 2, metric), recall_rows(prompts), 6.0 * sign)
    rule = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")
    cells = published_cells("head", a)
    assert rule(cells, prompts).type[6] == "mixed"
    assert published_consistency(cells, prompts, rule, folds=5, share=0.8, seed=0) == (1, 1)


def test_published_consistency_of_nothing_is_nothing_of_nothing():
    prompts = plain_set(30)
    cells = published_cells("head", noise(prompts, 2))
    assert published_consistency(
        cells, prompts, replace(BH, votes=3), folds=5, share=0.8, seed=0
    ) == (0, 0)
