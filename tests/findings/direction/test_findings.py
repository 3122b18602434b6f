"""The findings of h7 on subjects whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.direction import secondary as direction_secondary
from harness.findings.direction import surface_baselines
from harness.findings.direction.held_out import held_out_direction_finding
from harness.findings.direction.measured import SelectedLayer
from harness.findings.direction.published import published_direction_finding
from harness.findings.direction.search import DirectionRule
from harness.findings.direction.separation import Labelled
from harness.materials.files.reading import split_pairs
from harness.materials.items import EVALUATION, Item, PromptSet
from harness.materials.sets import geography_crossed
from harness.study.plan import Plan
from harness.verdicts.judge import Criterion, Outcome, judge
from harness.verdicts.plots import Plot
from harness.verdicts.verdict import to_plain
from tests.support.judging import finding_of
from tests.support.synthetic import (
    PLAN,
    crossed_set,
    noise,
    null_subject,
    plain_set,
    process_of,
    study_of,
)

RULE = DirectionRule(auc=0.75, alpha=0.01, folds=5, shuffles=20, random_directions=100, cosine=0.5)
PUBLISHED = {"auc": "AUROC .929", "gap": ".53"}
LAYERS, WIDTH = 4, 32


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The words of crossed prompts are balanced, so they need not be fitted every time."""
    whole = surface_baselines.stored_surface_auc
    monkeypatch.setattr(
        surface_baselines, "stored_surface_auc", lambda s, p: 0.5 if p.crossed else whole(s, p)
    )


def side_of(prompts):
    sides = dict(zip(prompts.tasks, (-1, 1), strict=True))
    return np.array([sides.get(i.task, 0) for i in prompts.items])


def stream(prompts, seed, gap=0.0, layer=2, width=WIDTH) -> Activations:
    """Noise with a part that the prompts of a pair share; `gap` apart from `layer` on."""
    generator = np.random.default_rng(seed)
    pair = np.unique([i.pair for i in prompts.items], return_inverse=True)[1]
    x = generator.standard_normal((len(prompts), LAYERS, width))
    x += 0.5 * generator.standard_normal((pair.max() + 1, LAYERS, width))[pair]
    x[:, layer:, 3] += side_of(prompts)[:, None] * gap / 2
    return replace(noise(prompts, 0), resid=x.astype(np.float32))


def knows(gap=4.0, twin_gap=0.0):
    """A subject whose layers from 2 on separate the tasks by `gap`, and its twins by `twin_gap`."""
    return lambda prompts, twin: stream(prompts, 10 + (twin or 0), twin_gap if twin else gap)


def held_out(study, rule=RULE):
    result = finding_of(held_out_direction_finding, study, rule, 0.6)
    return result, judge(result, Criterion.CONTROLLED)


def test_prompts_that_state_no_process_are_not_measured():
    """Of two questions of one process nothing is asked: the subject would fail if it were."""

    def never(*_):
        pytest.fail("it was measured")

    alike = tuple(replace(item, source="weights", steps=1) for item in crossed_set(40).items)
    study = study_of(never, replace(crossed_set(40), items=alike))
    result, (outcome, reason) = held_out(study)
    assert outcome is Outcome.INCONCLUSIVE
    assert "are questions of one process" in reason
    assert not result.evidence


def as_published(study, least=0.9):
    result = finding_of(published_direction_finding, study, RULE, least=least, published=PUBLISHED)
    return result, judge(result, Criterion.PUBLISHED)


def row(finding, beginning):
    return next(e for e in finding.evidence if e.name.startswith(beginning))


def control(finding, name):
    return next(c for c in finding.controls if c.name.startswith(name))


def labelled_set(prompts=300, *, longer=0, domains=6, seed=0) -> PromptSet:
    """People's own prompts: no pairs; reasoning prompts are `longer` words more on average."""
    generator = np.random.default_rng(seed)
    items = []
    for i in range(prompts):
        task = ("recall", "reasoning")[i % 2]
        words = int(generator.integers(5, 25)) + longer * (i % 2)
        items.append(
            Item(
                id=str(i),
                task=task,
                prompt=" ".join(f"w{generator.integers(50)}" for _ in range(words)),
                pair=str(i),
                domain=f"s{generator.integers(domains)}",
                answer="yes",
                distractors=("no",),
                **process_of(task),
            )
        )
    split = split_pairs(items)
    return PromptSet("own", tuple(replace(i, split=split[i.pair]) for i in items))


def words_of(item):
    return [int(word[1:]) for word in item.prompt.split()]


# Crossed prompts


def everywhere(gap):
    """A subject that tells the tasks apart in every dimension: so does nearly any direction."""

    def make(prompts, twin):
        activations = stream(prompts, 10 + (twin or 0))
        if not twin:
            shift = side_of(prompts)[:, None, None] * gap / 2
            activations.resid[:, 2:] += shift.astype(np.float32)
        return activations

    return make


def test_random_directions_are_measured_by_a_size_that_goes_on_where_auc_ends():
    finding, (outcome, _) = held_out(study_of(everywhere(30.0), crossed_set(80)))
    by_chance = control(finding, "random directions")
    size = row(finding, "size of the separation")
    assert outcome is Outcome.SUPPORTED
    assert 10 < by_chance.value < size.effect.interval[0] < size.effect.value


def test_a_direction_no_better_than_random_ones_is_refuted():
    """The stream has one dimension only, so every direction separates the tasks equally well."""

    def along_one(prompts, twin):
        narrow = stream(prompts, 10 + (twin or 0), 0.0 if twin else 4.0, width=4)
        return replace(narrow, resid=np.repeat(narrow.resid[..., 3:], 4, axis=-1))

    finding, (outcome, why) = held_out(study_of(along_one, crossed_set(80)))
    assert row(finding, "held-out separation").passed
    assert outcome is Outcome.REFUTED
    assert "random directions" in why


def test_a_subject_that_knows_the_task_is_supported_where_it_knows_it():
    finding, (outcome, reason) = held_out(study_of(knows(), crossed_set(80)))
    assert (outcome, reason) == (Outcome.SUPPORTED, "every requirement holds")
    separation = row(finding, "held-out separation")
    assert separation.effect.method.startswith(("layer 2", "layer 3"))
    low, high = separation.effect.interval
    assert 0.9 < low < separation.effect.value <= high
    assert separation.p_adjusted == separation.floor == 1 / 200
    assert separation.n == 40
    assert all(c.passed for c in finding.controls)


def test_noise_is_never_supported():
    prompts = crossed_set(40)
    aucs = []
    for seed in range(50):
        study = study_of(lambda p, twin, s=seed: stream(p, 100 * s + (twin or 0)), prompts)
        finding, (outcome, _) = held_out(study, replace(RULE, shuffles=5))
        assert outcome is Outcome.REFUTED
        aucs.append(row(finding, "held-out separation").effect.value)
        units = finding.samples["held-out separation"]
        assert len(units) == 20
        assert np.mean(list(units.values())) == pytest.approx(aucs[-1])
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.03)
    assert np.max(aucs) < 0.75


def test_twins_that_separate_as_well_refute_it():
    finding, (outcome, reason) = held_out(study_of(knows(twin_gap=4.0), crossed_set(80)))
    assert outcome is Outcome.REFUTED
    assert "control untrained twin 1" in reason
    assert [c.passed for c in finding.controls if "twin" in c.name] == [False, False]


def test_twins_beyond_the_bar_refute_even_if_the_model_is_better():
    finding, (outcome, _) = held_out(study_of(knows(6.0, twin_gap=1.6), crossed_set(200)))
    twin = control(finding, "untrained twin 1")
    assert 0.75 < twin.value < row(finding, "held-out separation").effect.interval[0]
    assert twin.passed is False
    assert outcome is Outcome.REFUTED


def test_a_model_that_does_not_answer_is_inconclusive():
    study = study_of(knows(), crossed_set(80), accuracy={"reasoning": 0.25})
    _, (outcome, reason) = held_out(study)
    assert outcome is Outcome.INCONCLUSIVE
    assert reason.startswith("reasoning accuracy 0.27 on made-crossed, first 15 pairs")


def test_the_layer_is_chosen_without_the_evaluation_pairs():
    prompts = crossed_set(80)
    judged = np.array([i.split == "evaluation" for i in prompts.items])

    def only_evaluation_differs(p, _):
        a = stream(p, 1, 1.0, layer=3)
        x = a.resid.copy()
        x[:, 0, 5] += 6 * judged * side_of(p)  # on evaluation pairs alone, layer 0 would be best
        return replace(a, resid=x)

    finding, _ = held_out(study_of(only_evaluation_differs, prompts))
    assert row(finding, "held-out separation").effect.method.startswith("layer 3 (of ")


def test_a_direction_of_one_template_is_refuted_by_another():
    prompts = crossed_set(160, templates=2)
    first = np.array([i.template == "t0" for i in prompts.items])

    def turned(p, twin):
        a = stream(p, 10 + (twin or 0))
        if twin:
            return a
        x = a.resid.copy()
        x[:, 2, 3] += side_of(p) * np.where(first, 6.0, -0.3)
        return replace(a, resid=x)

    finding, (outcome, reason) = held_out(study_of(turned, prompts))
    smallest = row(finding, "smallest separation")
    assert smallest.effect.value < 0.5
    assert smallest.effect.method.startswith("template t1; of 2 judged")
    assert outcome is Outcome.REFUTED
    assert "smallest separation within a template" in reason
    by_name = {e.name: e.effect.value for e in finding.evidence}
    assert by_name["within template t0"] > 0.95


def test_layers_without_a_direction_are_named_and_all_of_them_inconclusive():
    def late(p, twin):
        a = stream(p, 10 + (twin or 0), 4.0)
        x = a.resid.copy()
        x[:, :2] = 1.0
        return replace(a, resid=x)

    prompts = crossed_set(80)
    finding, _ = held_out(study_of(late, prompts))
    assert "no direction in layers [0, 1]: the tasks' means are the same there" in finding.notes
    flat = study_of(lambda p, _: replace(noise(p, 0), resid=np.ones((len(p), 4, 8))), prompts)
    _, (outcome, reason) = held_out(flat)
    assert outcome is Outcome.INCONCLUSIVE
    assert "there is no direction" in reason


def test_twins_without_any_direction_show_nothing():
    def make(p, twin):
        return (
            knows()(p, None)
            if twin is None
            else replace(noise(p, 0), resid=np.ones((len(p), LAYERS, WIDTH), np.float32))
        )

    finding, (outcome, _) = held_out(study_of(make, crossed_set(80)))
    assert outcome is Outcome.SUPPORTED
    assert "no direction in any layer" in control(finding, "untrained twin 1").note


def test_too_few_pairs_are_inconclusive():
    _, (outcome, reason) = held_out(study_of(knows(), crossed_set(6)))
    assert outcome is Outcome.INCONCLUSIVE
    assert "3 recall of 5 in discovery, 3 reasoning of 5 in discovery" in reason


def test_too_few_permutations_are_inconclusive():
    study = study_of(knows(), crossed_set(80), Plan(0, 80, 50, 50, 1))
    _, (outcome, reason) = held_out(study)
    assert outcome is Outcome.INCONCLUSIVE
    assert "smallest adjusted p" in reason


def test_no_twins_are_no_control_and_it_says_so():
    finding, _ = held_out(study_of(knows(), crossed_set(80), replace(PLAN, twins=0)))
    assert any("--twins 0" in note for note in finding.notes)


def test_exchanging_the_names_of_the_tasks_changes_no_verdict():
    prompts = crossed_set(80)
    turned = replace(prompts, tasks=prompts.tasks[::-1])
    fixed = stream(prompts, 10, 4.0)
    twin = stream(prompts, 11)
    aucs = []
    for p in (prompts, turned):
        finding, (outcome, _) = held_out(study_of(lambda _, t: twin if t else fixed, p))
        assert outcome is Outcome.SUPPORTED
        aucs.append(row(finding, "held-out separation").effect.value)
    assert aucs[0] == pytest.approx(aucs[1])


# Lookup: is it reasoning, or reading the context


@pytest.mark.parametrize("reads", [True, False])
def test_lookup_tells_reading_the_context_from_reasoning(reads):
    plan = Plan(seed=0, items=80, permutations=199, resamples=99, twins=1)
    along = {"recall": -2.0, "lookup": 2.0 if reads else -2.0, "reasoning": 2.0}

    def make(p, twin):
        a = stream(p, 10 + (twin or 0))
        if twin:
            return a
        x = a.resid.copy()
        x[:, 2, 3] += [along[i.task] for i in p.items]
        return replace(a, resid=x)

    study = study_of(make, geography_crossed(plan.items, plan.seed), plan)
    finding, (outcome, _) = held_out(study)
    assert outcome is Outcome.SUPPORTED
    from_reasoning = row(finding, "lookup against reasoning, along this direction").effect.value
    from_recall = row(finding, "recall against lookup, along this direction").effect.value
    near, far = (from_reasoning, from_recall) if reads else (from_recall, from_reasoning)
    assert near == pytest.approx(0.5, abs=0.1)
    assert far > 0.95
    assert row(finding, "lookup against reasoning, a direction of their own").n == 40


# People's own labelled prompts


def length_stream(prompts, seed, gap=0.0):
    """The stream tells how long a prompt is, and, `gap` apart, its task."""
    a = stream(prompts, seed, gap)
    x = a.resid.copy()
    lengths = np.array([len(words_of(i)) for i in prompts.items])
    x[:, :, 0] += 3 * ((lengths - lengths.mean()) / lengths.std())[:, None]
    return replace(a, resid=x)


def test_prompts_that_differ_in_length_alone_are_not_supported():
    prompts = labelled_set(longer=8)
    study = study_of(lambda p, twin: length_stream(p, 5 + (twin or 0)), prompts, ids=words_of)
    finding, (outcome, reason) = held_out(study)
    assert any("twins were not measured (--full does)" in note for note in finding.notes)
    finding, (outcome, reason) = held_out(replace(study, plan=replace(study.plan, full=True)))
    assert outcome is Outcome.REFUTED
    assert "control prompt length alone" in reason
    first = finding.evidence[0]
    assert first.name == "prompt length alone, without a model"
    assert first.effect.value > 0.75
    assert control(finding, "prompt length alone").passed is False
    assert control(finding, "untrained twin 1").passed is False


def test_prompts_without_distractors_do_not_fare_better_than_with_them():
    prompts = labelled_set()
    bare = replace(prompts, items=tuple(replace(i, distractors=()) for i in prompts.items))
    (with_them, _), (without, reason) = (
        held_out(study_of(knows(6.0), p, ids=words_of))[1] for p in (prompts, bare)
    )
    assert (with_them, without) == (Outcome.SUPPORTED, Outcome.INCONCLUSIVE)
    assert "of the 300 prompts of own, 300 have no distractors" in reason


def test_prompts_that_length_tells_completely_are_inconclusive():
    prompts = labelled_set(longer=40)
    study = study_of(lambda p, _: length_stream(p, 5), prompts, ids=words_of)
    _, (outcome, reason) = held_out(study)
    assert outcome is Outcome.INCONCLUSIVE
    assert "prompt length alone (AUC 1.00)" in reason


def test_a_direction_beyond_every_baseline_is_supported_on_own_prompts():
    prompts = labelled_set(longer=4)
    study = study_of(
        lambda p, twin: length_stream(p, 5 + (twin or 0), 0.0 if twin else 6.0),
        prompts,
        ids=words_of,
    )
    finding, (outcome, reason) = held_out(study)
    assert (outcome, reason) == (Outcome.SUPPORTED, "every requirement holds")
    assert row(finding, "held-out separation").family.method == (
        "prompts relabelled within their domain"
    )
    assert row(finding, "domains left out").effect.value > 0.9
    assert any("not crossed" in note for note in finding.notes)


def test_a_direction_of_the_subject_matter_is_not_supported():
    prompts = labelled_set(400, domains=2)
    generator = np.random.default_rng(0)
    items = [  # mathematics is mostly reasoning
        replace(
            i, domain=i.task if generator.random() < 0.9 else ("recall", "reasoning")[n % 2 - 1]
        )
        for n, i in enumerate(prompts.items)
    ]
    prompts = replace(prompts, items=tuple(items))

    def make(p, twin):
        a = stream(p, 5 + (twin or 0))
        x = a.resid.copy()
        x[:, 2, 3] += [3 * (i.domain == "reasoning") for i in p.items]
        return replace(a, resid=x)

    finding, (outcome, reason) = held_out(study_of(make, prompts, ids=words_of))
    assert outcome is Outcome.REFUTED
    assert "control domain alone" in reason
    assert row(finding, "held-out separation").effect.value > 0.8


def test_many_domains_are_pooled_and_a_score_is_correlated():
    prompts = labelled_set(1586, domains=57)
    generator = np.random.default_rng(0)
    scored = tuple(
        replace(i, score=float((i.task == "reasoning") + generator.random())) for i in prompts.items
    )
    prompts = replace(prompts, items=scored)
    study = study_of(knows(4.0), prompts, ids=words_of)
    finding, (outcome, _) = held_out(study)
    assert outcome is Outcome.SUPPORTED
    assert "domains pooled, as each is small" in row(finding, "smallest separation").effect.method
    assert not any(e.name.startswith("within domain s") for e in finding.evidence)
    graded = row(finding, "projection against the graded score")
    assert graded.effect.value > 0.7
    assert "within recall" in graded.effect.method


def test_plain_pairs_and_a_third_task_are_measured():
    prompts = plain_set(60, templates=2)
    third = tuple(replace(i, id=f"{i.id}-x", task="lookup") for i in prompts.items[::2])
    mixed = replace(prompts, items=(*prompts.items, *third))
    finding, (outcome, reason) = held_out(study_of(knows(), mixed))
    assert outcome is Outcome.INCONCLUSIVE
    assert "prompt length alone (AUC 1.00)" in reason
    assert row(finding, "held-out separation").family.method == "sign flip of pairs"


# As published


def test_noise_in_many_dimensions_passes_in_sample_and_not_held_out():
    prompts = plain_set(30)
    study = study_of(lambda p, twin: stream(p, twin or 0, width=800), prompts)
    finding, (outcome, _) = as_published(study)
    assert outcome is Outcome.SUPPORTED  # the trap
    assert row(finding, "in-sample separation").effect.value > 0.99
    assert row(finding, "the same, on prompts left out").effect.value < 0.75
    assert control(finding, "shuffled labels").passed is False
    assert "2 of 2 untrained twins pass this criterion too" in finding.notes
    assert row(finding, "in-sample separation").published == "AUROC .929"


def test_a_small_separation_in_sample_is_refuted():
    study = study_of(lambda p, twin: stream(p, twin or 0, 0.5), plain_set(300))
    finding, (outcome, _) = as_published(study)
    assert outcome is Outcome.REFUTED
    assert 0.5 < row(finding, "in-sample separation").effect.value < 0.9


def test_the_stream_before_a_layer_is_that_after_the_one_below():
    study = study_of(lambda p, twin: stream(p, twin or 0, 5.0, layer=2), plain_set(300))
    finding, _ = as_published(study)
    # Planted after layers 2 and 3; before layers 1 to 3 only that after 2 is seen.
    assert row(finding, "in-sample separation").name == (
        "in-sample separation before layer 3, the best of 3"
    )
    assert any("before layer 0 that is the embedding" in note for note in finding.notes)


def test_a_model_of_one_layer_is_inconclusive_as_published():
    def shallow(p, _):
        return replace(noise(p, 0), resid=stream(p, 0, 3.0).resid[:, :1])

    _, (outcome, reason) = as_published(study_of(shallow, plain_set(30)))
    assert outcome is Outcome.INCONCLUSIVE
    assert "there is no direction" in reason


def test_published_runs_on_crossed_and_on_own_prompts():
    for prompts in (crossed_set(30), labelled_set(200)):
        finding, _ = as_published(study_of(knows(), prompts, ids=lambda i: [1] * len(i.prompt)))
        assert row(finding, "cosine with the direction").effect.value > 0


# Figures


def test_figures_hold_plain_values_and_name_what_they_show():
    study = study_of(knows(), crossed_set(80))
    controlled = finding_of(held_out_direction_finding, study, RULE, 0.6).plots
    published = finding_of(
        published_direction_finding, study, RULE, least=0.9, published=PUBLISHED
    ).plots
    assert [p.form for p in controlled] == ["curve", "histogram", "map"]
    assert [p.form for p in published] == ["curve", "histogram"]
    for plot in (*controlled, *published):
        again = Plot.from_json(json.loads(json.dumps(plot.to_json())))
        assert to_plain(again.to_json()) == to_plain(plot.to_json())
    curve = controlled[0].panels[0]
    assert [s.role for s in curve.series] == ["model", "twin", "twin", "random"]
    assert curve.lines == (0.5,)
    histogram = controlled[1].panels
    assert [p.title for p in histogram] == ["model", "untrained twin 1"]
    for series in histogram[0].series:
        assert sum(series.y) == pytest.approx(1)


@pytest.mark.parametrize("prompts", [crossed_set(30), labelled_set(151)], ids=["pairs", "prompts"])
def test_the_size_is_cohens_d(prompts):
    labelled, scores = Labelled.of(prompts), np.random.default_rng(0).normal(7, 2, len(prompts))
    selected = SelectedLayer(study_of(knows(), prompts), labelled, 0, np.empty((0, 0)), scores)
    rows = labelled.within(EVALUATION)
    side = labelled.side[rows]
    expected = stats.cohens_d(scores[rows][side > 0], scores[rows][side < 0])
    size = selected.size()
    assert size.value == pytest.approx(float(expected))
    assert size.low < size.value < size.high


def test_secondary_evidence_is_of_the_selected_layer(monkeypatch):
    monkeypatch.setattr(direction_secondary, "_HALVES", 5)
    finding, _ = held_out(study_of(knows(3.0), crossed_set(200)))
    size = row(finding, "size of the separation")
    assert size.effect.name == "d'"
    assert size.effect.value == pytest.approx(3 / np.sqrt(1.25), rel=0.15)  # SD of noise and pair
    assert row(finding, "direction of one half").effect.value > RULE.cosine
    assert not row(finding, "direction of one half").decisive


def test_null_subject_of_the_other_claims_is_refuted_too():
    _, (outcome, _) = held_out(study_of(null_subject, crossed_set(80)))
    assert outcome is Outcome.REFUTED
