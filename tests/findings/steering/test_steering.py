"""Steering on stand-ins whose truth is known, and its edits on a tiny real model."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from harness.activations.extracted import Answers
from harness.activations.swept import SweepResult
from harness.adapter import LoadOptions, Model
from harness.findings.direction.vectors import difference_in_means
from harness.findings.effects import effects_on_all, swept
from harness.findings.steering.added import steering_finding
from harness.findings.steering.corrections import correction_finding
from harness.findings.steering.fitting import (
    fit,
    fitting_prompts,
    isotropic,
    neutral_prompts,
    spread_like_stream,
)
from harness.findings.steering.projected import projection_finding
from harness.findings.steering.rule import (
    RandomDirections,
    SteeringCriterion,
    SteeringEdits,
    SteeringRule,
    SteeringSelection,
)
from harness.findings.steering.selection import SteeringStudy, select_added
from harness.interventions import edits
from harness.interventions.directions import Directions
from harness.interventions.edits import Context
from harness.interventions.interventions import (
    ADD,
    DIRECTED,
    PROJECT_OUT,
    RECENTRE,
    RESCALE,
    Inputs,
    Intervention,
    address_of,
)
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.materials.sets import geography
from harness.models.specs import resolve
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, Outcome, judge
from harness.verdicts.plots import Plot
from tests.support import oracle_edits, tiny_models
from tests.support.judging import finding_of
from tests.support.synthetic import noise, plain_set

LAYERS, WIDTH, GAP = 3, 32, 4.0
RULE = SteeringRule(
    edits=SteeringEdits(doses=(0.5, 1.0), scales=(1.0,), positions="all"),
    selection=SteeringSelection(pairs=20, cost=0.30),
    random=RandomDirections(count=20, pairs=20, band=4),
    criterion=SteeringCriterion(pairs=60, least=20, lift=0.01, margin=0.10, alpha=0.05),
    tokens=4,
)
PLAN = Plan(seed=0, items=120, permutations=199, resamples=199, twins=0)
SIDE = {"recall": -1, "reasoning": 1}


def costing(most: float) -> SteeringRule:
    """The rule with another cost allowed."""
    return replace(RULE, selection=replace(RULE.selection, cost=most))


def prompts_of(pairs: int) -> PromptSet:
    """With three wrong answers each, so that chance is a quarter."""
    made = plain_set(pairs)
    items = tuple(replace(i, distractors=("no", "nay", "never")) for i in made.items)
    return replace(made, items=items)


PROMPTS = prompts_of(120)


@dataclass(frozen=True)
class Here:
    """One run of one item: where its stream ends, and how far it was moved."""

    task: str
    along: float  # the planted direction
    moved: float
    wrong: bool  # whether the intact model misses it

    @property
    def side(self) -> int:
        return 1 if self.task == "reasoning" else -1

    @property
    def margin(self) -> float:
        return -1.0 if self.wrong else 6.0


def truly(here):
    """What lies towards reasoning is better at it and worse at recall."""
    return here.margin + here.side * here.along - GAP / 2


def by_any_move(here):
    """Any move of some length does the same, whatever its direction."""
    return here.margin + here.side * here.moved


def by_nothing(here):
    return here.margin


def ruined(here):
    """Every move takes both to nothing; recall stood higher, so in nats it loses more."""
    return (12 if here.task == "recall" else 6) * np.exp(-here.moved)


def needed(here):
    """Reasoning is lost without the direction, recall does not use it."""
    return here.along - 0.1 if here.task == "reasoning" else 6.0


def needed_by_both(here):
    return abs(here.along) - 0.1


@dataclass
class Toy:
    """A stream that no layer changes, and a law that reads it; stands in for subject and model."""

    law: Callable[[Here], float] = truly
    misses: float = 0.0  # share of reasoning items that the intact model gets wrong
    accuracy: float = 1.0  # said to the gate
    asked: list[str] = field(default_factory=list)
    streams: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: Any = field(default_factory=lambda: {"layers": LAYERS, "dtype": "float32"})

    def stream(self, item: Item) -> torch.Tensor:
        if item.id not in self.streams:
            self.streams[item.id] = self.drawn(item)
        return self.streams[item.id]

    def drawn(self, item: Item) -> torch.Tensor:
        generator = torch.Generator().manual_seed(sum(map(ord, item.id)) * 7919 + len(item.id))
        x = 0.2 * torch.randn(WIDTH, generator=generator)
        x[3] = SIDE[item.task] * GAP / 2
        return x

    def wrong(self, item: Item) -> bool:
        number = int(item.pair[1:])
        return item.task == "reasoning" and (number // 2 % 10) < 10 * self.misses

    def activations(self, prompts):
        one = np.stack([self.stream(i).numpy() for i in prompts.items])
        return replace(noise(prompts, 0), resid=np.repeat(one[:, None], LAYERS, axis=1))

    def answers(self, prompts):
        correct = np.array([not self.wrong(i) for i in prompts.items], np.float32)
        if self.accuracy < 1:
            correct[:] = np.arange(len(correct)) % 8 < 8 * self.accuracy
        return Answers(correct, correct, correct, correct)

    def fetch(self, what, prompts, measure, shard_size=64):
        self.asked.append(what["kind"])
        parts = [
            measure(self, prompts.items[i : i + shard_size])
            for i in range(0, len(prompts), shard_size)
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def read(self, items, edit_set=()) -> np.ndarray:
        """Each item's logit difference, and how far its stream was moved, under some edits."""
        before = torch.stack([self.stream(i) for i in items])
        x = before[:, None]
        for edit in sorted(edit_set, key=lambda e: e.site.layer):
            x = edit.function(x, Context())
        far = (x[:, 0] - before).norm(dim=1).tolist()
        ends = zip(items, x[:, 0, 3].tolist(), far, strict=True)
        found = [self.law(Here(i.task, along, d, self.wrong(i))) for i, along, d in ends]
        return np.array([found, far])

    def sweep(self, items, edit_sets, *, donors=None, partial=False):
        assert partial
        assert donors is None
        after, far = np.array([self.read(items, e) for e in edit_sets]).swapaxes(0, 1)
        clean = self.read(items)[0]
        return SweepResult(
            log_probability=after,
            logit_difference=after,
            correct=(after > 0).astype(float),
            divergence=0.01 * far**2,
            clean_log_probability=clean,
            clean_logit_difference=clean,
            clean_correct=(clean > 0).astype(float),
            scorable=np.ones(len(items), bool),
            applicable=np.ones(after.shape, bool),
        )

    def generate(self, items, most, edit_set):
        right = self.read(items, edit_set)[0] > 0
        return [i.answer if r else "so " * most for i, r in zip(items, right, strict=True)]


def study(law=truly, prompts=PROMPTS, **toy) -> Study:
    return Study(Toy(law, **toy), prompts, PLAN)


def verdict(result):
    return judge(result, Criterion.CONTROLLED)


def row(result, beginning):
    return next(e for e in result.evidence if e.name.startswith(beginning))


# Adding


def test_a_direction_that_steers_is_supported():
    found = finding_of(steering_finding, study(), RULE, 0.6)
    assert verdict(found) == (Outcome.SUPPORTED, "every requirement holds")
    first = found.evidence[0]
    assert first.effect.value == pytest.approx(2 * GAP / 6, rel=0.2)  # dose 1 at one layer
    assert "add +1 at layer" in first.effect.method
    units = list(found.units[first.name].values())
    assert (len(units), np.mean(units)) == (first.n, pytest.approx(first.effect.value, abs=0.02))
    assert row(found, "the same, against random").p_adjusted == pytest.approx(1 / 21)
    assert row(found, "reasoning moved the wrong way").effect.value == 0
    assert row(found, "recall moved the wrong way").effect.value == 0
    assert found.notes[0].startswith("adding the direction (add +1 at layer")
    assert "helps reasoning and hurts recall" in found.notes[0]
    assert "hurts reasoning and helps recall" in found.notes[1]


def test_an_effect_that_any_direction_has_is_refuted():
    found = finding_of(steering_finding, study(by_any_move), RULE, 0.6)
    outcome, reason = verdict(found)
    assert outcome is Outcome.REFUTED
    assert "against random directions" in reason
    assert found.evidence[0].passed
    assert found.controls[0].passed is False


def test_no_effect_is_refuted():
    outcome, reason = verdict(finding_of(steering_finding, study(by_nothing), RULE, 0.6))
    assert outcome is Outcome.REFUTED
    assert "change of logit difference: 0, needed > 0.01" in reason


def test_ruining_both_tasks_is_not_steering():
    rule = costing(10.0)
    found = finding_of(steering_finding, study(ruined), rule, 0.6)
    assert verdict(found)[0] is Outcome.REFUTED
    steering = SteeringStudy.fit(study(ruined), RULE)
    effects = steering.both(steering.evaluation_items(), [steering.along(ADD, (0, 1, 2))])
    assert effects.second.mean[0] - effects.first.mean[0] > 5  # nats: recall had more to lose
    assert effects.contrasts[0] == pytest.approx(0, abs=1e-3)


def test_a_dose_that_costs_too_much_is_not_selected():
    def score(arms):
        return np.array([a.dose * len(a.layers) for a in arms])

    selected = select_added(SteeringStudy.fit(study(), RULE), score, +1)
    assert (selected.intervention.dose, len(selected.intervention.layers), selected.affordable) == (
        1.0,
        1,
        True,
    )
    assert selected.cost == pytest.approx(0.01 * GAP**2, rel=0.1)
    dear = select_added(SteeringStudy.fit(study(), costing(0.001)), score, +1)
    assert (dear.intervention.dose, len(dear.intervention.layers), dear.affordable) == (
        0.5,
        1,
        False,
    )
    assert "none was within the cost allowed" in str(dear)


def test_the_share_that_goes_the_wrong_way_is_known():
    turned = {i.pair for i in PROMPTS.items if int(i.pair[1:]) % 8 == 1}  # a quarter of evaluation
    names = {f"{pair[1:]}-reasoning" for pair in turned}

    class Some(Toy):
        def read(self, items, edit_set=()):
            value, far = super().read(items, edit_set)
            return np.array([np.where([i.id in names for i in items], 12 - value, value), far])

    found = finding_of(steering_finding, Study(Some(), PROMPTS, PLAN), RULE, 0.6)
    share = row(found, "reasoning moved the wrong way")
    assert (share.effect.value, share.n) == (0.25, 60)
    left = found.plots[2].panels[0].series[1]
    below = sum(y for x, y in zip(left.x, left.y, strict=True) if x < -0.5)
    assert below == pytest.approx(0.25)


# Taking out


def test_a_direction_that_one_task_needs_is_supported():
    found = finding_of(projection_finding, study(needed), RULE, 0.6)
    assert verdict(found) == (Outcome.SUPPORTED, "every requirement holds")
    lost = found.evidence[0]
    assert lost.effect.value == 1.0
    assert set(found.units[lost.name].values()) == {1.0}
    assert "hurts reasoning and does not move recall" in found.notes[0]
    assert row(found, "reasoning generated, project out").effect.value == 0
    assert row(found, "reasoning generated, intact").effect.value == 1
    assert "parsed 0.00" in row(found, "reasoning generated, project out").effect.method


@pytest.mark.parametrize(
    ("law", "why"), [(by_nothing, "reasoning lost"), (needed_by_both, "recall spared")]
)
def test_a_direction_that_none_or_both_need_is_refuted(law, why):
    outcome, reason = verdict(finding_of(projection_finding, study(law), RULE, 0.6))
    assert outcome is Outcome.REFUTED
    assert why in reason


# Correcting


def test_wrong_items_that_move_as_said_are_supported():
    found = finding_of(correction_finding, study(misses=0.5), RULE, 0.3)
    assert verdict(found) == (Outcome.SUPPORTED, "every requirement holds")
    assert found.evidence[0].effect.value == pytest.approx(GAP, rel=0.1)
    assert row(found, "reasoning items mended").effect.value == 1.0
    assert row(found, "reasoning items moved the wrong way").effect.value == 0
    assert "raises reasoning answers that were wrong" in found.notes[1]
    assert row(found, "reasoning items answered right").effect.value == pytest.approx(GAP, rel=0.1)
    assert found.notes[1].endswith("of items that were right, accuracy 1.00 to 1.00")


@pytest.mark.parametrize("law", [by_any_move, by_nothing])
def test_wrong_items_that_any_direction_moves_are_refuted(law):
    assert (
        verdict(finding_of(correction_finding, study(law, misses=0.5), RULE, 0.3))[0]
        is Outcome.REFUTED
    )


def test_too_few_wrong_items_are_inconclusive():
    outcome, reason = verdict(finding_of(correction_finding, study(misses=0.1), RULE, 0.6))
    assert outcome is Outcome.INCONCLUSIVE
    assert "gets 6 evaluation and 3 discovery items wrong" in reason


# Gates, selection, identity


@pytest.mark.parametrize("finding", [steering_finding, projection_finding, correction_finding])
def test_a_model_that_does_not_answer_is_inconclusive_and_not_steered(finding):
    asked = study(accuracy=0.25)
    outcome, reason = verdict(finding_of(finding, asked, RULE, 0.6))
    assert outcome is Outcome.INCONCLUSIVE
    assert "recall accuracy 0.25" in reason
    assert asked.subject.asked == []


@pytest.mark.parametrize("finding", [steering_finding, projection_finding, correction_finding])
def test_no_direction_in_any_layer_is_inconclusive(finding):
    class Flat(Toy):
        def drawn(self, item):
            return torch.ones(WIDTH) * len(item.answer)

    outcome, reason = verdict(
        finding_of(finding, Study(Flat(misses=0.5), PROMPTS, PLAN), RULE, 0.3)
    )
    assert outcome is Outcome.INCONCLUSIVE
    assert "there is no direction" in reason


def test_few_items_are_inconclusive():
    outcome, reason = verdict(
        finding_of(steering_finding, study(prompts=prompts_of(30)), RULE, 0.6)
    )
    assert outcome is Outcome.INCONCLUSIVE
    assert "15 reasoning pairs of the evaluation half can be scored, 20 are needed" in reason
    outcome, reason = verdict(
        finding_of(steering_finding, study(prompts=prompts_of(12)), RULE, 0.6)
    )
    assert "6 discovery pairs of a task: 10 are needed" in reason


def test_a_direction_without_length_is_refused():
    zero = Directions(np.zeros((1, 4)), np.zeros((1, 4)), np.ones(1))
    for method in DIRECTED:
        with pytest.raises(ValueError, match="points nowhere"):
            Intervention((Site("resid", 0),), method).edits(Inputs(directions=[zero]))


def test_what_is_fitted_selected_and_judged_has_no_pair_in_common():
    steering = SteeringStudy.fit(study(), RULE)
    fitted = {i.pair for i in PROMPTS.items if i.split == DISCOVERY} - steering.fitted.unseen
    choosing = set(steering.selection_items().pairs)
    judged = set(steering.evaluation_items().pairs)
    assert len(fitted) == steering.fitted.pairs == 30
    assert len(choosing) == RULE.selection.pairs
    assert len(judged) == 60
    assert len(fitted | choosing | judged) == 30 + RULE.selection.pairs + 60
    expected = difference_in_means(
        Toy().activations(PROMPTS).resid,
        np.array([SIDE[i.task] * (i.pair in fitted) for i in PROMPTS.items]),
    )
    assert np.allclose(steering.fitted.directions.vectors, expected.vectors)


def test_plain_materials_take_their_direction_from_their_crossed_counterpart():
    plain = geography(8)
    source = fitting_prompts(Study(Toy(), plain, replace(PLAN, items=8)))
    assert (source.name, source.crossed) == ("geography-crossed", True)
    assert set(source.pairs) == set(plain.pairs)
    split = {i.pair: i.split for i in plain.items}
    assert all(split[i.pair] == i.split for i in source.items)
    assert fitting_prompts(study()) is PROMPTS


def test_neutral_prompts_ask_for_neither_task():
    found = neutral_prompts(geography(4))
    assert found.count() == {"lookup": 4, "statement": 4}
    statement = next(i for i in found.items if i.task == "statement")
    assert "?" not in statement.prompt
    assert not statement.answer
    assert statement.prompt == " ".join(geography(4).items[0].premises).rsplit(" ", 1)[0]
    assert {i.split for i in found.items} == {DISCOVERY, EVALUATION}
    assert neutral_prompts(PROMPTS).items == PROMPTS.items


@pytest.mark.parametrize("draw", [isotropic, spread_like_stream])
def test_random_directions_are_as_long_as_the_fitted_one(draw):
    fitted = fit(study())
    drawn = draw(fitted, 5, 0)
    for one in drawn:
        assert np.allclose(one.norm, fitted.directions.norm)
        assert abs(one.unit(0) @ fitted.directions.unit(0)) < 0.9
    assert not np.allclose(drawn[0].vectors, drawn[1].vectors)
    assert np.allclose(drawn[0].vectors, draw(fitted, 5, 0)[0].vectors)


def test_spread_directions_lie_where_prompts_of_one_task_differ():
    fitted = fit(study())
    fitted.resid[:, :, 5] *= 100
    for one in spread_like_stream(fitted, 5, 0):
        assert abs(one.unit(1)[5]) > 0.9
        assert abs(one.unit(1)[3]) < 1e-3  # the tasks' own difference is taken out


def test_interventions_and_their_directions_have_an_address():
    fitted = fit(study()).directions
    other = replace(fitted, vectors=fitted.vectors * 2)
    arm = Intervention((Site("resid", 0),), ADD)
    known = {
        address_of(arms, directions)
        for arms, directions in (
            ([arm], [fitted]),
            ([replace(arm, positions="final")], [fitted]),
            ([arm], [other]),
            ([replace(arm, dose=2.0)], [fitted]),
            ([replace(arm, method=RESCALE)], [fitted]),
            ([replace(arm, sites=(Site("resid", 0), Site("resid", 1)))], [fitted]),
            ([arm, arm], [fitted]),
        )
    }
    assert len(known) == 7
    assert address_of([arm], [fitted]) == address_of([arm], [fitted, other])


def test_pairs_are_the_unit():
    items = [
        Item(f"{p}-{t}-{n}", t, "x", p, answer="yes", distractors=("no",))
        for p in ("a", "b")
        for t in ("recall", "reasoning")
        for n in range(2 if t == "recall" else 1)
    ][:-1]  # pair b lacks reasoning
    prompts = PromptSet("own", tuple(items))
    values = np.arange(5.0)
    result = SweepResult(
        **dict.fromkeys(("log_probability", "divergence"), values[None]),
        logit_difference=2 * values[None],
        correct=(values[None] > 1).astype(float),
        clean_log_probability=values,
        clean_logit_difference=values,
        clean_correct=np.ones(5),
        scorable=np.ones(5, bool),
        applicable=np.ones((1, 5), bool),
    )
    first, second = (effects_on_all(result, prompts, t) for t in prompts.tasks)
    assert first.logit_difference.tolist() == [[0.5, 3.5]]
    assert first.after.tolist() == [[0.0, 1.0]]
    assert second.scored.tolist() == [True, False]
    assert second.mean[0] == 2.0
    assert second.share[0] == 1.0


def test_figures_hold_plain_values():
    found = [
        finding_of(steering_finding, study(), RULE, 0.6),
        finding_of(projection_finding, study(needed), RULE, 0.6),
        finding_of(correction_finding, study(misses=0.5), RULE, 0.3),
    ]
    plots = [p for f in found for p in f.plots]
    assert [p.form for p in plots] == ["curve", "curve", "histogram", "curve", "histogram"]
    for plot in plots:
        again = Plot.from_json(json.loads(json.dumps(plot.to_json(), allow_nan=False)))
        assert json.dumps(again.to_json()) == json.dumps(plot.to_json())
    doses = plots[0].panels[1].series
    assert [s.role for s in doses] == ["random", "reasoning"]
    assert list(doses[1].x) == [-1.0, -0.5, 0.5, 1.0]
    assert np.all(np.diff(doses[1].y) > 0)


# On a real model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp("model"), "olmo2")
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu"))


def test_every_named_edit_equals_torch_hooks(model):
    items = geography(3).items[:3]
    resid = model.extract(items).resid
    directions = difference_in_means(resid, np.array([-1, 1, 1]))
    sites = (Site("resid", 0), Site("resid", 1))
    arms = [
        Intervention(sites, ADD, dose=0.5),
        Intervention(sites, PROJECT_OUT),
        Intervention(sites, RESCALE, dose=0.1),
        Intervention(sites[1:], RECENTRE),
    ]
    units = [torch.tensor(directions.unit(layer)).float() for layer in (0, 1)]
    vectors = torch.tensor(directions.vectors).float()
    middle = float(directions.midpoint[1] @ directions.unit(1))

    def along(x, layer):
        return (x @ units[layer])[:, None] * units[layer]

    changes = [
        [("resid", n, lambda x, n=n: x + 0.5 * vectors[n]) for n in (0, 1)],
        [("resid", n, lambda x, n=n: x - along(x, n)) for n in (0, 1)],
        [("resid", n, lambda x, n=n: x + 0.1 * along(x, n)) for n in (0, 1)],
        [("resid", 1, lambda x: x - along(x, 1) + middle * units[1])],
    ]

    class Subject:
        def fetch(self, _what, prompts, measure, **_):
            return measure(model, prompts.items)

    found = swept(Subject(), PromptSet("three", items), arms, directions=[directions])
    for number, item in enumerate(items):
        (ids,) = model.encoder.ids([item])
        intact = oracle_edits.last_logits(model.module, ids).log_softmax(-1)
        for arm, change in enumerate(changes):
            logits = oracle_edits.last_logits(model.module, ids, *change).log_softmax(-1)
            divergence = float((intact.exp() * (intact - logits)).sum())
            assert found.divergence[arm, number] == pytest.approx(divergence, abs=1e-5)
            assert divergence > 0


def test_an_edit_that_changes_nothing_costs_nothing(model):
    site = Site("resid", 0)
    direction = torch.ones(32)
    sets = [(), (edits.rescale(site, direction, 1.0),), (edits.rescale(site, direction, 2.0),)]
    mute = Item("mute", "statement", ITEM.prompt, "mute")
    found = model.sweep([ITEM, mute], sets)
    assert found.divergence[:2].tolist() == [[0, 0], [0, 0]]
    assert (found.divergence[2] > 0).all()
    assert found.divergence[2, 0] == pytest.approx(found.divergence[2, 1], abs=1e-6)


ITEM = geography(1).items[0]
