"""h1 to h3: a process is told from a question, on subjects whose truth is known."""

import re
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness import stats
from harness.findings.processes.contrasts import Questions, relation_contrasts
from harness.findings.processes.different import different_finding
from harness.findings.processes.finding import process_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.findings.processes.materials import relations_of
from harness.findings.processes.measured import _by_place
from harness.findings.processes.rule import ProcessRule
from harness.findings.processes.same_process import told_places
from harness.findings.processes.second_set import _of_coins
from harness.findings.specialisation.cells import controlled_cells
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import Difficulty
from harness.materials.items import DISCOVERY, EVALUATION
from harness.materials.relations import load_relations
from harness.verdicts.evidence import Effect
from harness.verdicts.judge import Outcome
from tests.support.judging import finding_of, outcome, why
from tests.support.made_cells import (
    RELATION_SD,
    TWO_STEPS,
    WEIGHTS,
    asks,
    cells,
    in_relation,
    made,
    told_first,
)
from tests.support.synthetic import PLAN, crossed_set, null_subject, study_of

RULE = ProcessRule(threshold_d=1.0, alpha=0.01, permutations=1000, seed=0)
# Six heads and neurons: the fewest whose signs in the second set can be more than coins give.
PLACE = {
    "layer": ("layers", (1, 0)),
    "head": ("heads", (slice(2, 4), slice(1, 4), 1)),
    "neuron": ("neurons", (3, slice(1, 7))),
}
OTHER = {
    "layer": ("layers", (2, 0)),
    "head": ("heads", (slice(0, 2), slice(1, 4), 1)),
    "neuron": ("neurons", (1, slice(1, 7))),
}
PLACED = {"layer": 1, "head": 6, "neuron": 6}
ITEMS = replace(PLAN, items=200)
NEEDED = {"layer": (1, 4), "head": (1, 16), "neuron": (1, 32)}


def words(item):
    return [zlib.crc32(word.encode()) for word in re.findall(r"\w+|[^\w\s]", item.prompt)]


def follows_no_label(study):
    """The study of a model that answers plain prompts alone."""
    answers = study.subject.answers

    def plain_only(prompts):
        right = answers(prompts)
        return replace(right, correct=0 * right.correct) if prompts.crossed else right

    study.subject.answers = plain_only
    return study


def model_with(*effects, twin_effects=()):
    def make(prompts, twin):
        planted = effects if twin is None else twin_effects
        return made(prompts, *planted, seed=100 + (twin or 0))

    return make


def found(make, process=RETRIEVAL, kind="head", prompts=None, rule=RULE, **subject):
    study = study_of(make, prompts or cells(), ITEMS, **subject)
    return finding_of(process_finding, study, kind, process, rule, needed=NEEDED[kind], gate=0.6)


def evidence(finding, name):
    return next(e for e in finding.evidence if name in e.name or e.key == name)


@pytest.mark.parametrize("kind", PLACE)
@pytest.mark.parametrize(("process", "asked"), [(RETRIEVAL, WEIGHTS), (COMPOSING, TWO_STEPS)])
def test_a_component_that_serves_a_process_in_all_relations_is_found(kind, process, asked):
    make = model_with((*PLACE[kind], asked, 2.5))
    finding = found(make, process, kind)
    assert (outcome(finding), why(finding)) == (Outcome.SUPPORTED, "every requirement holds")
    assert evidence(finding, "count").effect.value == PLACED[kind]
    assert {component.type for component in finding.components} == {process.cells[0]}
    assert [c.passed for c in finding.controls] == [True] * PLAN.twins
    other = COMPOSING if process is RETRIEVAL else RETRIEVAL
    assert outcome(found(make, other, kind)) is not Outcome.SUPPORTED


def test_questions_that_differ_by_relation_alone_are_no_process():
    finding = found(model_with())
    assert RELATION_SD > 2
    assert outcome(finding) is not Outcome.SUPPORTED
    # The rule of the literature calls every pair of recall questions different.
    assert evidence(finding, "pairs of recall questions").effect.value == 1
    assert finding.controls == ()
    assert any("untrained twins were not measured" in note for note in finding.notes)


def test_a_component_that_serves_one_relation_alone_is_no_process():
    array, place = PLACE["head"]
    finding = found(model_with((array, place, in_relation("capital", WEIGHTS), 40.0)))
    assert evidence(finding, "count").effect.value == 0
    assert outcome(finding) is not Outcome.SUPPORTED


def test_a_process_must_be_larger_than_what_the_place_of_the_answer_does():
    effects = [(*PLACE["head"], WEIGHTS, 2.5)]
    assert outcome(found(model_with(*effects))) is Outcome.SUPPORTED
    effects.append((*OTHER["head"], told_first, 8.0))
    finding = found(model_with(*effects))
    assert evidence(finding, "count").effect.value == PLACED["head"]
    assert outcome(finding) is Outcome.REFUTED
    assert "larger than in same-process contrasts" in why(finding)


def test_twins_that_show_it_too_refute_it():
    effect = (*PLACE["head"], WEIGHTS, 2.5)
    finding = found(model_with(effect, twin_effects=[effect]))
    assert outcome(finding) is Outcome.REFUTED
    assert "control untrained twin 1" in why(finding)


def test_the_effect_must_hold_on_other_entities():
    def which(prompts):
        return np.array([i.split == DISCOVERY and cell_of(i) in WEIGHTS for i in prompts.items])

    array, place = PLACE["head"]
    finding = found(model_with((array, place, which, 3.0)))
    assert evidence(finding, "largest").effect.value == pytest.approx(0, abs=0.5)
    assert outcome(finding) is not Outcome.SUPPORTED


def test_too_few_permutations_are_inconclusive():
    rule = replace(RULE, permutations=50)
    finding = found(model_with((*PLACE["head"], WEIGHTS, 2.5)), rule=rule)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "needed <= 0.01: use more" in why(finding)


def test_a_small_effect_is_refuted_and_one_near_the_bar_is_not_decided():
    small = found(model_with((*PLACE["head"], WEIGHTS, 0.3)))
    assert outcome(small) is Outcome.REFUTED
    near = found(model_with((*PLACE["head"], WEIGHTS, 1.15)))
    assert outcome(near) is Outcome.INCONCLUSIVE


def test_fewer_than_eight_relations_decide_nothing():
    few = cells().where(lambda item: item.relation in ("capital", "currency", "colour", "young"))
    finding = found(model_with((*PLACE["head"], WEIGHTS, 3.0)), prompts=replace(few, name="few"))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "in 4 relations; 8 are needed to tell a process from a question: use" in why(finding)


@pytest.mark.parametrize("name", ["cells:recall/capital-currency", "cells-crossed:recall-lookup"])
def test_materials_without_the_contrast_are_inconclusive(name):
    finding = found(model_with(), COMPOSING, prompts=cells(48, name))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "has no prompts of reasoning (source context, steps 2)" in why(finding)


def test_materials_that_say_nothing_about_relations_are_inconclusive():
    finding = found(null_subject, prompts=crossed_set())
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "columns source, steps and relation" in why(finding)


def test_a_model_that_does_not_answer_is_told_so_before_anything_is_extracted():
    def never(*_):
        raise AssertionError("nothing may be extracted")

    finding = found(never, accuracy={"lookup": 0.3})
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "lookup accuracy 0.30" in why(finding)


def test_plain_prompts_are_taken_where_crossed_ones_are_not_answered():
    effect = (*PLACE["head"], WEIGHTS, 2.5)
    crossed = found(model_with(effect))
    assert any("grade A on cells-crossed:recall-lookup" in note for note in crossed.notes)
    study = follows_no_label(study_of(model_with(effect), cells(), ITEMS, ids=words))
    plain = finding_of(process_finding, study, "head", RETRIEVAL, RULE, needed=(1, 16), gate=0.6)
    assert any("grade B on cells@" in note for note in plain.notes)
    assert outcome(plain) is Outcome.SUPPORTED


def plainly_composing(prompts=None, **subject):
    make = model_with((*PLACE["head"], TWO_STEPS, 2.5))
    study = follows_no_label(study_of(make, prompts or cells(), ITEMS, ids=words, **subject))
    return finding_of(process_finding, study, "head", COMPOSING, RULE, needed=(1, 16), gate=0.6)


def test_steps_on_plain_prompts_are_compared_where_both_are_asked_in_the_same_words():
    finding = plainly_composing()
    assert outcome(finding) is Outcome.SUPPORTED
    assert finding.evidence[0].n == 8  # of 16 relations
    assert any(e.name.endswith("the same sign from the weights") for e in finding.evidence)


def test_steps_on_plain_prompts_need_their_second_set():
    """A story tells the name between two steps twice and the one before it once."""
    finding = plainly_composing(accuracy={"latent": 0.3})
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "latent accuracy 0.30" in why(finding)


def test_steps_on_plain_prompts_of_ones_own_may_be_given_away_by_their_words():
    own = replace(cells(), name="mine.jsonl")
    own = replace(own, items=tuple(replace(item, subject=None) for item in own.items))
    finding = plainly_composing(own)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "may tell reasoning and lookup apart in relations they were not learnt" in why(finding)


def under_shuffled_labels(share, seed):
    """A model with heads of retrieval, whose prompts are labelled by coins."""
    plan = replace(ITEMS, shuffle_labels=share, seed=seed)
    serving = model_with((*PLACE["head"], WEIGHTS, 2.5))

    def make(asked, twin):  # the model knows no labels
        true = {i.prompt: i for i in draw_cells(asked.name, plan.items, seed).items}
        items = tuple(true.get(item.prompt, item) for item in asked.items)
        return serving(replace(asked, items=items), twin)

    drawn = draw_cells("cells", plan.items, seed, Difficulty())
    study = study_of(make, plan.labelled(drawn), plan)
    return finding_of(process_finding, study, "head", RETRIEVAL, RULE, needed=(1, 16), gate=0.6)


def test_shuffled_labels_are_never_supported():
    outcomes = {outcome(under_shuffled_labels(1.0, seed)) for seed in range(8)}
    assert Outcome.SUPPORTED not in outcomes
    assert outcome(under_shuffled_labels(0.0, 0)) is Outcome.SUPPORTED


def different(*effects, **twins):
    study = study_of(model_with(*effects, **twins), cells(), ITEMS)
    return finding_of(different_finding, study, "head", RULE, needed=(1, 16), shared=0.5, gate=0.6)


def test_two_processes_on_different_heads_are_different_components():
    finding = different((*PLACE["head"], WEIGHTS, 2.5), (*OTHER["head"], TWO_STEPS, 2.5))
    assert outcome(finding) is Outcome.SUPPORTED
    assert evidence(finding, "shared").effect.value == 0


def test_two_processes_on_the_same_heads_are_not():
    both = [("heads", (1, h, 1), cells_, 2.5) for h in (0, 1) for cells_ in (WEIGHTS, TWO_STEPS)]
    finding = different(*both)
    assert evidence(finding, "shared").effect.value == 1
    assert outcome(finding) is Outcome.REFUTED


def test_what_twins_have_too_is_no_difference_of_processes():
    effects = [(*PLACE["head"], WEIGHTS, 2.5), (*OTHER["head"], TWO_STEPS, 2.5)]
    finding = different(*effects, twin_effects=effects)
    assert outcome(finding) is Outcome.REFUTED
    assert "control retrieval, untrained twin 1" in why(finding)


def test_a_contrast_that_is_nearly_there_may_be_there():
    """Each head has the other process too, just below the bar."""
    heads = [
        (("heads", (1, 0, 1)), WEIGHTS, TWO_STEPS),
        (("heads", (3, 2, 1)), TWO_STEPS, WEIGHTS),
    ]
    effects = [
        effect
        for place, own, other in heads
        for effect in ((*place, own, 1.9), (*place, other, 0.95))
    ]
    finding = different(*effects)
    shared = evidence(finding, "shared")
    assert shared.effect.interval[1] == 1
    assert outcome(finding) is Outcome.INCONCLUSIVE


def uneven(place, low, high):
    """Retrieval's effect at a place: the same in all relations on discovery, else low or high."""
    names = sorted({item.relation for item in cells().items})

    def of(split, relations):
        def which(prompts):
            there = [item.split == split and item.relation in relations for item in prompts.items]
            return np.array(there) & asks(prompts, WEIGHTS)

        return which

    return [
        (*place, of(DISCOVERY, names), 2.5),
        (*place, of(EVALUATION, names[::2]), low),
        (*place, of(EVALUATION, names[1::2]), high),
    ]


def test_the_interval_of_the_share_says_nothing_against_a_share_found_by_p():
    """Composing's heads have retrieval in half of the relations: beyond the bar, but by no p."""
    both = [("heads", (3, head, 1)) for head in (2, 3)]
    effects = [effect for place in both for effect in uneven(place, -0.6, 6.0)]
    effects += [(*place, TWO_STEPS, 2.5) for place in both]
    effects += [("heads", (1, head, 1), WEIGHTS, 2.5) for head in (0, 1)]
    finding = different(*effects)
    shared = evidence(finding, "shared")
    assert shared.effect.value == 0
    assert shared.effect.interval == (0, 1)
    assert outcome(finding) is Outcome.INCONCLUSIVE


def test_one_process_alone_is_no_difference():
    assert outcome(different(("heads", (1, 0, 1), WEIGHTS, 2.5))) is not Outcome.SUPPORTED


def test_contrasts_are_means_of_differences_within_blocks():
    prompts = cells()
    activations = made(prompts, seed=3)
    questions = Questions.of(controlled_cells("head", activations).values, prompts.items)
    half = questions.rows(questions.split == DISCOVERY)
    relations = relations_of(prompts, RETRIEVAL.cells)
    d = relation_contrasts(half, RETRIEVAL.cells, relations)
    at, place = relations.index("capital"), 7
    here = half.relation == "capital"
    blocks = [
        half.values[here & (half.block == b) & (half.asked == "recall"), place].mean()
        - half.values[here & (half.block == b) & (half.asked == "lookup"), place].mean()
        for b in np.unique(half.block[here])
    ]
    groups = [
        half.values[(half.relation == r) & (half.asked == c), place]
        for r in relations
        for c in RETRIEVAL.cells
    ]
    sd = np.sqrt(sum(((g - g.mean()) ** 2).sum() for g in groups) / sum(len(g) - 1 for g in groups))
    assert d[at, place] == pytest.approx(np.mean(blocks) / sd, rel=1e-5)


def test_relations_count_where_both_halves_ask_in_both_cells():
    prompts = cells()
    assert len(relations_of(prompts, RETRIEVAL.cells)) == 16
    some = prompts.where(lambda i: not (i.relation == "birth" and i.split == EVALUATION))
    assert "birth" not in relations_of(some, RETRIEVAL.cells)


def test_every_third_answer_is_told_first_and_every_third_last():
    told = told_places(cells().items)
    assert (told == "first").sum() == (told == "last").sum() == len(told) // 3


def test_the_place_of_an_answer_is_no_larger_because_few_prompts_have_it():
    """Of thousands of components the smallest SD of few prompts would make the largest d."""
    prompts = draw_cells("cells", 200, 0, Difficulty(4, 4))
    told = told_places(prompts.items)
    first = (told == "first") & np.array([cell_of(i) == "lookup" for i in prompts.items])
    noise = np.random.default_rng(0).normal(size=(len(told), 5000))
    questions = Questions.of(noise + 2.0 * first[:, None], prompts.items)
    (contrast,) = _by_place(questions, told, "lookup", RETRIEVAL.cells, 8)
    d = np.abs(contrast.evaluation.mean(0))
    assert np.median(d) == pytest.approx(2.0, abs=0.1)
    assert d.max() < 4.0
    few = Questions.of(questions.values, prompts.items).rows(questions.split == EVALUATION)
    own = np.where(few.asked == "lookup", told[questions.split == EVALUATION], "")
    alone = relation_contrasts(
        replace(few, asked=own), ("first", "last"), sorted(set(few.relation))
    )
    assert np.abs(alone.mean(0)).max() > 4.0


def test_the_rule_needs_a_size_and_a_p_and_every_relation_but_one():
    generator = np.random.default_rng(0)
    contrasts = generator.normal(0, 0.3, (2, 16, 50))
    contrasts[:, :, 0] += 2.0  # holds
    contrasts[:, :, 1] += 0.8  # too small
    contrasts[:, 0, 2] += 40.0  # one relation
    contrasts[0, :, 3] += 2.0  # turns its sign
    contrasts[1, :, 3] -= 2.0
    decisions = RULE.decide(*contrasts)
    assert np.flatnonzero(decisions.holds).tolist() == [0]
    assert decisions.strongest in (0, 3)
    assert stats.leave_one_out_sign(contrasts[0])[0]
    assert RULE.count(decisions, 1) == 1
    assert RULE.count(decisions, 5) == 1


def test_the_samples_are_relations_and_their_mean_is_the_effect():
    finding = found(model_with((*PLACE["head"], WEIGHTS, -2.5)))
    strongest = evidence(finding, "largest")
    samples = finding.samples[strongest.name]
    assert set(samples) == {item.relation for item in cells().items}
    assert np.mean(list(samples.values())) == pytest.approx(strongest.effect.value)
    low, high = strongest.effect.interval
    assert 1 < low < strongest.effect.value < high


def test_the_strongest_effect_is_chosen_on_discovery_alone():
    def on(split):
        return lambda prompts: np.array(
            [i.split == split and cell_of(i) in WEIGHTS for i in prompts.items]
        )

    first, second = ("heads", (0, 0, 1)), ("heads", (1, 1, 1))
    make = model_with(
        *((*first, on(split), size) for split, size in ((DISCOVERY, 4.0), (EVALUATION, 2.0))),
        *((*second, on(split), size) for split, size in ((DISCOVERY, 2.5), (EVALUATION, 5.0))),
    )
    strongest = evidence(found(make), "largest")
    assert "layer 0 head 0" in strongest.name
    assert strongest.effect.value == pytest.approx(2.0, abs=0.5)


def test_prompts_without_answers_are_inconclusive_and_say_what_to_add():
    items = tuple(replace(i, answer="", distractors=()) for i in cells().items)
    finding = found(model_with(), prompts=replace(cells(), name="silent", items=items))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "answer" in why(finding)


SECOND = {
    RETRIEVAL.name: ("neutral", WEIGHTS),
    COMPOSING.name: ("cells-crossed:recall-latent", TWO_STEPS),
}


def except_in_second(process, size, place=PLACE["head"][1]):
    """An effect of the process on a head that is `size` times as large in its second set."""
    name, asked = SECOND[process.name]

    def which(prompts):
        return asks(prompts, asked) if not prompts.name.startswith(name) else asks(prompts, ())

    def there(prompts):
        return asks(prompts, asked) if prompts.name.startswith(name) else asks(prompts, ())

    return ("heads", place, which, 2.5), ("heads", place, there, 2.5 * size)


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_a_component_of_a_process_has_the_same_sign_in_a_second_set(process):
    """Known names alone, or steps from the weights: what else differs in the first set does not."""
    same = evidence(found(model_with(*except_in_second(process, 0.5)), process), "same_sign")
    assert (same.effect.value, same.state) == (1, "held")
    reverse = found(model_with(*except_in_second(process, -1)), process)
    assert evidence(reverse, "same_sign").effect.value == 0
    assert outcome(reverse) is Outcome.REFUTED


def test_one_place_of_several_that_keeps_its_sign_is_not_enough():
    """Of two places of a head one keeps its sign, as by chance."""
    layer, head, metric = PLACE["head"][1]
    kept, turned = except_in_second(RETRIEVAL, 1), (layer, head, metric + 1)
    finding = found(model_with(*kept, *except_in_second(RETRIEVAL, -1, turned)))
    assert evidence(finding, "same_sign").effect.value == 0.5
    assert outcome(finding) is not Outcome.SUPPORTED


def test_a_sign_that_is_noise_is_undecided():
    finding = found(model_with(*except_in_second(RETRIEVAL, 0)))
    low, high = evidence(finding, "same_sign").effect.interval
    assert low < 0.5 < high
    assert outcome(finding) is not Outcome.SUPPORTED


@pytest.mark.parametrize(
    ("size", "half", "opposite"), [(0.8, 1, 0), (0.25, 0, 0), (-0.25, 0, 0), (-0.8, 0, 1)]
)
def test_how_much_of_an_effect_is_left_in_the_second_set_is_shown(size, half, opposite):
    finding = found(model_with(*except_in_second(RETRIEVAL, size)))
    left = [e for e in finding.evidence if e.name.startswith("with a")]
    assert [e.effect.value for e in left] == [half, opposite]
    assert not any(e.decisive for e in left)


def with_unanswered(*names):
    """What retrieval finds on a model that serves it in a head and does not answer these sets."""
    study = study_of(model_with((*PLACE["head"], WEIGHTS, 2.5)), cells(), ITEMS)
    answers = study.subject.answers

    def right(prompts):
        given = answers(prompts)
        return (
            replace(given, correct=0 * given.correct) if prompts.name.startswith(names) else given
        )

    study.subject.answers = right
    return finding_of(process_finding, study, "head", RETRIEVAL, RULE, needed=(1, 16), gate=0.6)


def interval_of(share, count, kind):
    measured = SimpleNamespace(model=SimpleNamespace(kind=kind, count=count))
    of_relations = Effect("share", share, (share, share))
    return _of_coins(of_relations, measured).interval


@pytest.mark.parametrize("count", [5, 9, 31, 400])
def test_signs_that_are_coins_are_seldom_more_than_half(count):
    """Relations say nothing of that: each head has the same random sign in all of them."""
    kept = np.random.default_rng(0).binomial(count, 0.5, size=400)
    above = [interval_of(k / count, count, "head")[0] > 0.5 for k in kept]
    assert sum(above) <= 0.025 * 1.5 * len(kept)


def test_six_heads_of_one_sign_are_enough_and_five_are_not():
    low, high = interval_of(1.0, 6, "head")
    assert (low > 0.5, high) == (True, 1)
    assert interval_of(1.0, 5, "neuron")[0] < 0.5
    assert interval_of(1.0, 3, "layer") == (1, 1)  # as one coin, however many they are


def families(prompts):
    """One of each family of relations, and the relations of a family."""
    of = {r.name: r.family for r in load_relations()}
    asked = sorted({item.relation for item in prompts.items})
    return {family: [n for n in asked if of[n] == family] for family in map(of.get, asked)}


def test_a_head_that_acts_in_the_larger_families_alone_does_not_hold_by_family():
    """Twelve relations of sixteen, and four families of eight."""
    large = [name for each in families(cells()).values() if len(each) > 1 for name in each]

    def in_some(prompts):
        inside = np.array([item.relation in large for item in prompts.items])
        return asks(prompts, WEIGHTS) * inside

    for which, kept in ((in_some, 0), (WEIGHTS, 1)):
        finding = found(model_with(("heads", (1, 1, 1), which, 4.0)))
        assert evidence(finding, "count").effect.value == 1
        assert evidence(finding, "families").effect.value == kept


def test_a_second_set_that_is_not_answered_leaves_retrieval_open():
    finding = with_unanswered("neutral", "known")
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "retrieval where every name is known could not be asked for" in why(finding)
    assert "those that recall asks about could not be asked for" in why(finding)


def mine(contrast, **changed):
    """Two cells as a file of one's own: no second set can be drawn for it."""
    shipped = cells(name=f"cells-crossed:{contrast}")
    items = tuple(replace(item, **changed) for item in shipped.items)
    return replace(shipped, name="mine.jsonl", items=items)


def test_own_prompts_have_no_second_set_which_leaves_retrieval_open():
    finding = found(model_with((*PLACE["head"], WEIGHTS, 2.5)), prompts=mine("recall-lookup"))
    assert all(e.passed for e in finding.evidence[:3])
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert why(finding) == (
        "mine.jsonl has no second set: what is found may differ between known and unknown names "
        "alone; give prompts of the split 'second', or ask the set cells, which has one"
    )


@pytest.mark.parametrize(("size", "expected"), [(0.5, "supported"), (-1, "refuted")])
def test_own_prompts_with_a_second_set_decide_about_retrieval(size, expected):
    _, asked = SECOND[RETRIEVAL.name]

    def effect(of_second):
        return lambda prompts: asks(prompts, asked if of_second == is_second(prompts) else ())

    def is_second(prompts):
        return prompts.name == "mine.jsonl, second set"

    place = PLACE["head"][1]
    serving = model_with(
        ("heads", place, effect(False), 2.5), ("heads", place, effect(True), 2.5 * size)
    )
    own = replace(mine("recall-lookup"), second=cells(name="known-crossed").items)
    finding = found(serving, prompts=own)
    same = evidence(finding, "same_sign")
    assert same.name == "of these, with the same sign in the second set of the file"
    assert str(outcome(finding)) == expected


def test_a_second_set_of_few_relations_leaves_retrieval_open():
    again = cells(name="known-crossed")
    few = sorted({item.relation for item in again.items})[:4]
    own = replace(
        mine("recall-lookup"), second=again.where(lambda item: item.relation in few).items
    )
    finding = found(model_with((*PLACE["head"], WEIGHTS, 2.5)), prompts=own)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "mine.jsonl, second set has 4 relations; 5 are needed" in why(finding)


def test_without_its_second_set_composing_is_supported_with_a_note():
    serving, prompts = model_with((*PLACE["head"], TWO_STEPS, 2.5)), mine("lookup-reasoning")
    finding = found(serving, COMPOSING, prompts=prompts)
    assert outcome(finding) is Outcome.SUPPORTED
    assert "mine.jsonl has no second set: what is found may differ by reading alone" in (
        finding.notes
    )


def test_where_no_story_tells_the_answers_their_places_are_not_compared_and_a_note_says_so():
    def notes(finding):
        return [note for note in finding.notes if "told first" in note]

    finding = found(model_with(), prompts=mine("recall-lookup", premises=()))
    assert notes(finding) == [
        "answers told first in the story were compared with answers told last in 0 of 2 cells "
        "(recall, lookup): elsewhere too few relations have both"
    ]
    assert notes(found(model_with())) == []


def test_a_run_without_twins_says_that_the_control_is_missing():
    study = study_of(model_with((*PLACE["head"], WEIGHTS, 2.5)), cells(), replace(ITEMS, twins=0))
    finding = finding_of(process_finding, study, "head", RETRIEVAL, RULE, needed=(1, 16), gate=0.6)
    assert finding.controls == ()
    assert any("--twins 0" in note for note in finding.notes)


@pytest.mark.parametrize(
    ("size", "larger"),
    [(2.5, "6 larger in recall, 0 larger in lookup"), (-2.5, "0 larger in recall, 6 larger in")],
)
def test_the_count_says_in_which_cell_components_are_larger_and_asks_for_neither(size, larger):
    finding = found(model_with((*PLACE["head"], WEIGHTS, size)))
    assert larger in evidence(finding, "count").effect.method
    assert outcome(finding) is Outcome.SUPPORTED


def test_where_neutral_is_not_answered_the_easier_set_serves():
    finding = with_unanswered("neutral")
    assert outcome(finding) is Outcome.SUPPORTED
    assert "known" in evidence(finding, "same_sign").effect.method
    assert any("where every name is known could not be asked for" in n for n in finding.notes)


def test_stories_told_in_order_show_no_composing():
    """The next answer after the name is right there in one step and in two."""
    told = draw_cells("cells", 200, 0, Difficulty())
    finding = found(model_with((*PLACE["head"], TWO_STEPS, 2.5)), COMPOSING, prompts=told)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "told in order" in why(finding)


def test_the_second_set_is_measured_only_where_the_first_shows_something():
    finding = found(null_subject)
    assert not [e for e in finding.evidence if e.key == "same_sign"]
