"""h9: relations that agree on the components of a process, and relations that do not."""

import re
from dataclasses import replace

import numpy as np
import pytest

from harness.findings.processes.agreement import (
    between,
    carried_over,
    flips,
    serving,
    share_carried,
)
from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.generality import generality_finding
from harness.findings.processes.generality_rule import GeneralityRule
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.findings.processes.same_process import told_places
from harness.materials.relations import load_relations
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.made_cells import cells
from tests.support.planted_circuits import Planted, with_size

SEARCH = CircuitRule(doses=(1 / 8,), target=0.5, margin=0.1, alpha=0.05, draws=20)
RULE = GeneralityRule(search=SEARCH, least=0.2, top=0.1, carried=0.1, alpha=0.05, draws=20)
PLAN = Plan(seed=0, items=100, resamples=199)
PLACES = [("head", layer, head) for layer in range(6) for head in range(8)]


def found(costs, process=RETRIEVAL, plan=PLAN):
    study = Study(with_size(Planted(costs=costs), 6, 8), cells(100), plan)
    finding = finding_of(generality_finding, study, "head", process, RULE, gate=0.6)
    return finding, judge(finding, Criterion.CONTROLLED)[0]


def graded(seed):
    """A cost for every head, in an order of its own."""
    sizes = np.random.default_rng(seed).permutation(len(PLACES)) / 1_000
    return dict(zip(PLACES, sizes.tolist(), strict=True))


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_one_order_of_heads_in_all_relations_is_general(process):
    own = process.cells[0]
    finding, outcome = found(lambda item: graded(1) if cell_of(item) == own else {}, process)
    assert outcome is Outcome.SUPPORTED, judge(finding, Criterion.CONTROLLED)
    assert finding.evidence[0].effect.value > 0.8
    assert finding.severity.contrasts > RULE.draws
    assert finding.severity.supported <= 2


def test_what_relations_agree_on_for_another_reason_counts_against_the_rule():
    """In every relation an order of heads serves answers that are told first: no process."""

    def costs(item):
        place = told_places([item])[0] if cell_of(item) in ("recall", "lookup") else ""
        own = graded(1) if cell_of(item) == "recall" else {}
        return graded(2) if place == "first" else own

    finding, outcome = found(costs, plan=replace(PLAN, full=True))
    beyond = next(e for e in finding.evidence if e.key == "beyond")
    assert not beyond.passed
    assert outcome is not Outcome.SUPPORTED
    assert finding.severity.supported >= 2  # of both cells


def test_an_order_of_its_own_in_each_relation_is_not_general():
    names = sorted({item.relation for item in cells(100).items})
    finding, outcome = found(
        lambda item: graded(names.index(item.relation)) if cell_of(item) == "recall" else {}
    )
    assert outcome is Outcome.REFUTED
    assert abs(finding.evidence[0].effect.value) < 0.2


def test_an_order_of_its_own_in_each_family_is_not_general():
    """Relations agree within countries and within animals, and between them they do not."""
    family = {relation.name: relation.family for relation in load_relations()}
    names = sorted(set(family.values()))
    finding, outcome = found(
        lambda item: graded(names.index(family[item.relation])) if cell_of(item) == "recall" else {}
    )
    families = next(e for e in finding.evidence if e.key == "families")
    assert outcome is Outcome.REFUTED
    assert abs(families.effect.value) < 0.2
    assert float(re.search(r"within a family (\S+)", families.effect.method)[1]) > 0.8


@pytest.mark.parametrize(("told", "noted"), [(True, False), (False, True)])
def test_where_no_story_tells_the_answers_a_note_says_what_is_missing(told, noted):
    shipped = cells(100)
    items = tuple(replace(i, premises=i.premises if told else ()) for i in shipped.items)
    planted = Planted(costs=lambda item: graded(1) if cell_of(item) == "recall" else {})
    study = Study(with_size(planted, 6, 8), replace(shipped, name="mine.csv", items=items), PLAN)
    finding = generality_finding(study, "head", RETRIEVAL, RULE, gate=0.6)
    assert judge(finding, Criterion.CONTROLLED)[0] is Outcome.SUPPORTED
    assert any("told last in 0 of 2 cells" in note for note in finding.notes) is noted


@pytest.mark.parametrize(("domain", "why"), [("", "not all say"), ("one", "one family")])
def test_own_relations_without_families_are_not_compared_between_families(domain, why):
    shipped = cells(100)
    items = (replace(i, relation=f"my_{i.relation}", domain=domain) for i in shipped.items)
    own = replace(shipped, name="mine.csv", items=tuple(items))
    planted = Planted(costs=lambda item: graded(1) if cell_of(item) == "recall" else {})
    study = Study(with_size(planted, 6, 8), own, replace(PLAN, full=True))
    finding = generality_finding(study, "head", RETRIEVAL, RULE, gate=0.6)
    assert judge(finding, Criterion.CONTROLLED)[0] is Outcome.SUPPORTED
    assert not {"families", "redrawn"} & {e.key for e in finding.evidence}
    assert any(why in note for note in finding.notes)


def test_heads_that_any_question_but_lookup_needs_are_not_those_of_a_process():
    finding, outcome = found(lambda item: {} if cell_of(item) == "lookup" else graded(1))
    assert finding.evidence[0].effect.value > 0.8
    assert outcome is not Outcome.SUPPORTED
    more = next(e for e in finding.evidence if e.key == "more")
    assert more.effect.value == pytest.approx(0, abs=0.05)


def test_heads_that_only_read_the_story_agree_and_serve_no_retrieval():
    """Effects are signed: without a head that retrieves, heads that serve lookup come last."""
    reading = {place: size for place, size in graded(1).items() if size > 0.039}
    finding, outcome = found(lambda item: {} if cell_of(item) == "recall" else reading)
    assert_serves_nothing(finding, outcome)
    assert (
        finding.evidence[0].name == "relations agree on what serves recall, or lookup in its place"
    )


def test_heads_that_only_hamper_reading_agree_and_serve_no_retrieval():
    """Without them lookup and reasoning are better, and recall is as it was."""
    hampering = {place: -size for place, size in graded(1).items() if size > 0.039}
    assert_serves_nothing(*found(lambda i: {} if cell_of(i) == "recall" else hampering))


@pytest.mark.parametrize("heights", [{"recall": 0.4}, {"lookup": 0.4, "reasoning": 0.4}])
def test_heads_that_cost_every_cell_alike_serve_no_retrieval(heights):
    """As many nats of each, or the same share, where the cells stand at different heights."""

    def height(item):
        return heights.get(cell_of(item), 1.0)

    shares = {"recall": lambda i: 0.4 / height(i), "lookup": lambda _: 1.0}
    share = shares[next(iter(heights))]
    study = with_size(
        Planted(
            lambda item: {place: size * share(item) for place, size in graded(1).items()},
            height=height,
        ),
        6,
        8,
    )
    finding = finding_of(
        generality_finding, Study(study, cells(100), PLAN), "head", RETRIEVAL, RULE, gate=0.6
    )
    assert not next(e for e in finding.evidence if e.key == "carried").passed


def assert_serves_nothing(finding, outcome):
    failed = [e.key for e in finding.evidence if e.required and not e.passed]
    assert failed == ["carried"]
    assert outcome is not Outcome.SUPPORTED


def test_what_serves_a_cell_serves_it_in_three_readings():
    own, without = np.array([[0.4, 0.0, 0.4, 0.4]]), np.array([[0.0, -0.4, 0.4, 0.3]])
    found = serving(own, without, np.array([[2.0]]))
    assert found.min(0)[0] == pytest.approx([0.4, 0.0, -0.4, -0.2])


def test_heads_that_matter_everywhere_with_another_sign_in_each_relation_serve_nothing():
    """The same few heads are strongest in half of the relations, whichever cell is taken first."""
    generator = np.random.default_rng(0)
    effects = generator.normal(0, 0.02, (12, 64))
    effects[:, :6] += generator.normal(0, 0.15, (12, 6))
    assert share_carried(carried_over(effects[None], 0.05)) < 0.1
    effects[:, :6] = np.abs(effects[:, :6])
    assert share_carried(carried_over(effects[None], 0.05)) > 0.3


def test_what_is_carried_over_is_a_share_of_what_serves_most_there():
    effects = np.array([[0.5, -0.1, -0.2], [0.2, 0.4, -0.2], [-0.1, -0.2, -0.3]])
    own = (0.5 + 0.4 + 0) / 3  # no component serves the last relation
    elsewhere = (0.2 - 0.1 - 0.1 - 0.2 + 0 + 0) / 6
    sums = carried_over(effects[None], 1 / 3)
    assert share_carried(sums) == pytest.approx(elsewhere / own)
    alone = share_carried(sums, np.array([0.5, 0.5, 0.0]))
    assert alone == pytest.approx((0.2 - 0.1) / 2 / 0.45)
    assert share_carried(np.concatenate([sums, sums / 2, sums.clip(0)])) == share_carried(sums)
    assert np.isnan(share_carried(carried_over(-np.abs(effects)[None], 1 / 3)))


def test_a_model_in_which_nothing_matters_is_not_supported():
    assert found(lambda _: {})[1] is not Outcome.SUPPORTED


def test_few_items_are_inconclusive():
    study = Study(Planted(), cells(12), PLAN)
    finding = finding_of(generality_finding, study, "head", RETRIEVAL, RULE, gate=0.6)
    assert judge(finding, Criterion.CONTROLLED)[0] is Outcome.INCONCLUSIVE


def test_exchanging_the_cells_of_a_relation_turns_its_correlations():
    effects = np.random.default_rng(0).standard_normal((3, 50))
    rho = between(effects, effects)
    null = flips(rho, seed=0)
    assert null[0] == pytest.approx(np.nanmean(rho))
    for signs in ([1, 1, -1], [1, -1, 1], [1, -1, -1]):
        turned = effects * np.array(signs)[:, None]
        expected = np.nanmean(between(turned, turned))
        assert np.isclose(null, expected).any()
    assert len(null) == 4
    assert np.isnan(np.diag(rho)).all()


class ByPrompt(Planted):
    """Costs by prompt: another drawing has the same ids."""

    def _of(self, item):
        self._known.clear()
        return super()._of(item)


@pytest.mark.parametrize(("sign", "rho"), [(1, 0.9), (-1, -0.9)])
def test_effects_in_other_stories_are_compared_with_the_first(sign, rho):
    """Other drawings hold other stories: heads serve these in the same order, or in reverse."""
    first = {item.prompt for item in cells(100).items}

    def costs(item):
        if cell_of(item) != "reasoning":
            return {}
        turned = 1 if item.prompt in first else sign
        return {place: turned * size for place, size in graded(1).items()}

    planted = with_size(ByPrompt(costs=costs), 6, 8)
    study = Study(planted, cells(100), replace(PLAN, full=True))
    finding = generality_finding(study, "head", COMPOSING, RULE, gate=0.6)
    values = {e.key: e.effect.value for e in finding.evidence if not e.required}
    assert values["redrawn"] == pytest.approx(rho, abs=0.1)
    assert values["steps"] == pytest.approx(rho, abs=0.1)


def test_more_steps_than_the_model_answers_are_left_out_with_a_note():
    study = Study(
        with_size(Planted(costs=lambda _: graded(1), misses=lambda item: item.steps > 2), 6, 8),
        cells(100),
        replace(PLAN, full=True),
    )
    finding = finding_of(generality_finding, study, "head", COMPOSING, RULE, gate=0.6)
    assert {"redrawn"} == {e.key for e in finding.evidence} & {"redrawn", "steps"}
    assert any("stories of 3 steps could not be asked" in note for note in finding.notes)
