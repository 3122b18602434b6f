"""h14: a circuit that acts while steps are written, one that does not, and texts that break.

On a stand-in whose texts are stated, and on a network that writes its own.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from harness.files import DATA
from harness.findings.processes.circuit import CircuitRule, costs_of
from harness.findings.processes.kinds import cell_of
from harness.findings.processes.writing import Writer, WritingRule
from harness.findings.processes.writing_finding import writing_finding
from harness.findings.processes.writing_taken import circuit_of
from harness.findings.sweeps import swept
from harness.interventions.interventions import MEAN, Intervention
from harness.interventions.sites import Site, joined
from harness.materials.cell_sets import draw_cells
from harness.materials.items import EVALUATION
from harness.materials.written_steps import with_steps
from harness.models.specs import LoadOptions, resolve
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.planted_circuits import Planted

CIRCUIT = CircuitRule(doses=(1 / 16, 1 / 8), target=0.5, margin=0.1, alpha=0.05, draws=20)
RULE = WritingRule(circuit=CIRCUIT, gate=0.6, tokens=64, readable=0.8)
PLAN = Plan(seed=0, items=100, resamples=199)
A = ("head", 1, 2)


def right(item):
    return f" {' leads to '.join(item.entities)}.\nAnswer: {item.answer}"


def wrong(item):
    """The right steps, all but the last one."""
    *steps, _ = item.entities
    other = item.distractors[0]
    return f" {' leads to '.join((*steps, other))}.\nAnswer: {other}"


def at_once(item):
    """The right answer, and no step to it."""
    return f"\nAnswer: {item.answer}"


def skips(item):
    """The right answer after its last step alone."""
    return f" {item.answer}.\nAnswer: {item.answer}"


def endless(_item):
    return " and so on" * 9


@dataclass
class Writes(Planted):
    """A model that needs A for short answers in two steps, and writes what is stated."""

    needs: float = 0.8
    intact: Callable = right
    without: Callable = right  # in the absence of A, or of one of these
    alike: tuple = ()

    def __post_init__(self):
        self.costs = lambda item: {A: self.needs} if cell_of(item) == "reasoning" else {}
        self.asked, self.written, self.stored = 0, 0, {}

    def fetch(self, what, prompts, measure, shard_size=64):
        """A store: what has one address is measured once."""

        def also(model, items):
            return measure(SimpleNamespace(**vars(model), generate=self.generate), items)

        address = json.dumps(what, sort_keys=True), prompts.hash
        if address not in self.stored:
            self.stored[address] = super().fetch(what, prompts, also, shard_size)
        return self.stored[address]

    def sweep(self, *arguments, **named):
        self.asked += 1
        return super().sweep(*arguments, **named)

    def generate(self, items, most, edits):
        assert most == RULE.tokens
        self.written += len(items)
        taken = {(e.site.kind, e.site.layer, e.site.index) for e in edits}
        text = self.without if taken & {A, *self.alike} else self.intact
        return [text(item) for item in items]


def of(cell, text, other=right):
    """A text for one cell."""
    return lambda item: text(item) if cell_of(item) == cell else other(item)


@pytest.fixture(scope="module")
def prompts():
    return draw_cells("cells@chains4-shots4-shuffled-steps2", PLAN.items, PLAN.seed)


def found(prompts, **stated):
    model = Writes(**stated)
    finding = finding_of(writing_finding, Study(model, prompts, PLAN), circuit_of("head"), RULE)
    return model, finding, *judge(finding, Criterion.CONTROLLED)


def test_a_circuit_that_composes_in_writing_is_supported(prompts):
    _, finding, outcome, why = found(prompts, without=of("reasoning", wrong))
    assert (outcome, why) == (Outcome.SUPPORTED, "every requirement holds")
    lost, spared, beyond, first_wrong, *readable = finding.evidence
    assert lost.effect.value == pytest.approx(
        4 / 3
    )  # always wrong, where guessing is at times right
    assert spared.effect.value == 0
    assert (beyond.effect.value, beyond.threshold) == (pytest.approx(4 / 3), 0)
    assert first_wrong.effect.value == 0
    assert "a later step is wrong in 1.00" in first_wrong.effect.method
    assert [e.effect.value for e in readable] == [1, 1, 1, 1]
    assert (finding.severity.supported, finding.severity.contrasts) == (0, CIRCUIT.draws)
    assert set(finding.samples[lost.name]) == {item.relation for item in judged(prompts)}


def judged(prompts):
    names = sorted({item.relation for item in prompts.items})[1::2]
    return [item for item in prompts.items if item.relation in names]


def test_a_circuit_that_written_steps_do_without_is_refuted(prompts):
    _, finding, outcome, why = found(prompts)
    assert outcome is Outcome.REFUTED
    assert why.startswith("reasoning after written steps, lost without the composing heads: 0 [")
    assert any("other circuits were not measured" in note for note in finding.notes)


def test_what_another_head_would_lose_too_says_nothing_of_the_circuit(prompts):
    _, _, outcome, why = found(prompts, without=of("reasoning", wrong), alike=(("head", 2, 3),))
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith("undecided: the same, against other circuits: 1.33")


def test_a_circuit_that_lookup_needs_in_writing_too_is_refuted(prompts):
    _, _, outcome, why = found(prompts, without=wrong)
    assert outcome is Outcome.REFUTED
    assert why.startswith("lookup after a written step, lost without the composing heads: 1.33")


def test_a_text_that_ends_in_no_answer_is_lost_of_lookup_and_left_out_of_reasoning(prompts):
    """In each cell one of four texts breaks in four of six relations: the gate lets them pass."""
    asked = [item for item in judged(prompts) if item.split == EVALUATION]
    some = sorted({item.relation for item in asked})[:4]
    last = {(item.relation, cell_of(item)): item.id for item in asked if item.relation in some}
    broken = set(last.values())

    def without(item):
        if item.id in broken:
            return endless(item)
        return wrong(item) if cell_of(item) == "reasoning" else right(item)

    _, finding, outcome, why = found(prompts, without=without)
    lost, spared, *_ = finding.evidence
    assert lost.effect.value == pytest.approx(4 / 3)
    assert spared.effect.value == pytest.approx(4 / 3 * 4 / 24)
    assert "0 become another one, 4 cannot be read and are lost too" in spared.effect.method
    assert outcome is Outcome.INCONCLUSIVE  # spared, it would be supported
    assert "lookup after a written step, lost without the composing heads: 0.22 [" in why


def test_a_model_that_writes_no_steps_shows_nothing_and_nothing_is_searched(prompts):
    model, _, outcome, why = found(prompts, intact=of("lookup", endless))
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith("the model does not write steps: of 12 lookup texts")
    assert model.written == 24  # of more than three times as many, in two cells
    assert "lookup texts of at most 64 tokens 0.00 end in an answer" in why
    assert model.asked == 0
    assert "0.00 in the right one after its steps (needed 0.60)" in found(prompts, intact=wrong)[3]


def test_right_answers_without_their_steps_are_no_written_steps(prompts):
    """It composes its answers, but not while it writes steps."""
    for text, ends in ((at_once, "0.00"), (skips, "1.00")):
        model, _, outcome, why = found(prompts, intact=text, without=of("reasoning", wrong))
        assert outcome is Outcome.INCONCLUSIVE
        assert f"of 12 reasoning texts of at most 64 tokens {ends} end in an answer" in why
        assert "0.00 in the right one after its steps" in why
        assert model.asked == 0


def test_where_the_ablation_costs_the_first_step_and_all_that_follows_nothing_is_said(prompts):
    guesses = of("reasoning", lambda item: f"\nAnswer: {item.distractors[0]}")
    _, _, outcome, why = found(prompts, without=guesses)
    assert outcome is Outcome.INCONCLUSIVE
    assert "what is lost is the writing" in why


def test_a_model_that_may_write_steps_is_asked_for_all_texts(prompts):
    """Two thirds of the lookup texts end in an answer; of twelve that is not surely below .80."""
    some = [item.id for item in prompts.items if cell_of(item) == "lookup"][::3]
    two_in_three = of("lookup", lambda item: endless(item) if item.id in some else right(item))
    model, _, outcome, why = found(prompts, intact=two_in_three)
    assert outcome is Outcome.INCONCLUSIVE
    assert not why.startswith("the model does not write steps: of 12 lookup texts")
    assert model.written > 24


def test_where_the_ablation_costs_the_writing_nothing_is_said(prompts):
    _, _, outcome, why = found(prompts, without=of("reasoning", endless))
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith(
        "without the composing heads 0.00 of the reasoning texts end in an answer"
    )
    assert "what is lost is the writing" in why


def test_where_short_answers_need_no_circuit_there_is_none_to_follow(prompts):
    _, _, outcome, why = found(prompts, needs=0.05, without=of("reasoning", wrong))
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith("no circuit of composing to follow: without the")


def test_prompts_whose_steps_are_not_known_cannot_show_it(prompts):
    own = replace(prompts, name="own.jsonl")
    assert "the steps to the answers of own.jsonl are not known" in found(own)[3]


ORGANISMS = DATA / "fixtures" / "organisms"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network that writes its steps: asked for short answers, and for texts."""
    store = Store(tmp_path_factory.mktemp("store"))
    subject = Subject(resolve(str(ORGANISMS / "mini-steps")), LoadOptions(), store)
    drawn = draw_cells("cells@chains4-shots4-shuffled-steps2", 8, PLAN.seed)
    short = drawn.where(lambda item: cell_of(item) in ("reasoning", "lookup"))
    return Writer(Study(subject, short, PLAN), with_steps(short, 8, PLAN.seed), short, 32)


@pytest.mark.parametrize("kind", ["head", "neuron"])
def test_a_network_writes_its_steps_without_parts_that_its_short_answers_need(network, kind):
    subject, short = network.study.subject, network.short
    truth = json.loads((ORGANISMS / "mini-steps" / "circuit.json").read_text())
    own = truth["processes"]["composing"]
    heads = [Site("head", *place) for place in own["heads"]]
    neurons = [Site("neuron", int(n), tuple(row)) for n, row in own["neurons"].items()]
    gone = Intervention(joined(heads if kind == "head" else neurons), MEAN)
    lost = costs_of(swept(subject, short, [gone], means_over=short), short)
    intact, without = network.writes(), network.writes(gone)
    reasoning = network.rows("reasoning")
    assert lost.mean("reasoning")[0] > 0.5
    assert lost.mean("lookup")[0] < 0.1
    for written in (intact, without):
        assert written.parsed.mean() > 0.9
        assert written.right[reasoning].mean() > 0.8
