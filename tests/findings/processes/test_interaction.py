"""h8 on processes: two circuits that add up, or do not, in relations they were not found on."""

import numpy as np
import pytest

from harness.findings.processes.circuit import Ablated, CircuitRule
from harness.findings.processes.interaction import interaction_finding, separable_finding
from harness.findings.processes.kinds import cell_of
from harness.findings.processes.two_circuits import PairRule, interactions, main_effects
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, Inconclusive, Outcome, judge
from tests.support.judging import evidence, finding_of
from tests.support.made_cells import cells
from tests.support.planted_circuits import Planted, heads, neurons, with_size

SEARCH = CircuitRule(doses=(1 / 16, 1 / 8, 1 / 4), target=0.5, margin=0.1, alpha=0.05, draws=20)
RULE = PairRule(search=SEARCH, smallest=0.05)
PLAN = Plan(seed=0, items=100, permutations=199, resamples=199)
JUDGED = sorted({item.relation for item in cells(100).items})[1::2]
RECALL, REASONING = heads((1, 0), (2, 1)), heads((1, 2), (3, 3))


def apart(joint=0.0, *, recall=RECALL, reasoning=REASONING, cost=0.4, other=0.05, **options):
    """Each process has its own components; both sets together cost `joint` more than their sum."""

    def costs(item):
        own, others = {"recall": (recall, reasoning), "reasoning": (reasoning, recall)}.get(
            cell_of(item), ((), ())
        )
        return dict.fromkeys(own, cost) | dict.fromkeys(others, other)

    return Planted(costs, joint=joint, sets=(recall, reasoning), **options)


def judged(about, subject, kind="head", prompts=None):
    study = Study(subject, prompts or cells(100), PLAN)
    finding = finding_of(about, study, kind, RULE, gate=0.6)
    return finding, *judge(finding, Criterion.CONTROLLED)


def wide(**options):
    """Eight heads a layer: hardly a random pair repeats a circuit."""
    return with_size(apart(**options), 4, 8)


def test_the_effects_of_a_two_by_two_design():
    costs = np.array([0.6, 0.1, 1.0])  # the first alone, the second alone, both
    assert main_effects(costs, 0) == pytest.approx(0.75)
    assert main_effects(costs, 1) == pytest.approx(0.25)
    assert interactions(costs) == pytest.approx(0.3)


def test_circuits_that_serve_their_own_process_are_separable():
    finding, found, why = judged(separable_finding, wide())
    assert (found, why) == (Outcome.SUPPORTED, "every requirement holds")
    for process in ("retrieval", "composing"):
        own = evidence(finding, f"own.{process}")
        assert own.effect.value == pytest.approx(0.7, abs=0.03)  # .8 - .1
        each = list(finding.samples[own.name].values())
        assert (len(each), np.mean(each)) == (8, pytest.approx(own.effect.value))
        assert evidence(finding, f"beyond.{process}").n > 20
    assert (finding.severity.supported, finding.severity.contrasts) == (0, SEARCH.draws)


def test_circuits_of_neurons_are_separable():
    of = neurons((1, 0), (2, 1)), neurons((1, 2), (3, 4))
    assert judged(separable_finding, apart(recall=of[0], reasoning=of[1]), "neuron")[1] is (
        Outcome.SUPPORTED
    )


def test_circuits_that_serve_both_processes_are_not_separable():
    both = dict.fromkeys((*RECALL, *REASONING), 0.4)
    shared = Planted(lambda item: both if cell_of(item) != "lookup" else {})
    assert judged(separable_finding, shared)[1] is Outcome.REFUTED


def test_circuits_that_differ_in_the_relations_they_were_found_on_alone_are_not_separable():
    names = sorted({item.relation for item in cells(100).items})

    def costs(item):
        searched = names.index(item.relation) % 2 == 0
        own = {"recall": RECALL, "reasoning": REASONING}.get(cell_of(item), ())
        return dict.fromkeys(own, 0.4) if searched else {}

    assert judged(separable_finding, Planted(costs))[1] is Outcome.REFUTED


def test_a_circuit_that_reads_the_text_is_not_one_of_composing():
    """Its loss costs lookup nearly what it costs reasoning, and recall nothing."""

    def costs(item):
        lost = {"recall": (0.4, 0.0), "lookup": (0.0, 0.37), "reasoning": (0.0, 0.4)}
        each = zip((RECALL, REASONING), lost.get(cell_of(item), (0, 0)), strict=True)
        return {place: share for places, share in each for place in places}

    found, why = judged(separable_finding, with_size(Planted(costs), 4, 8))[1:]
    assert found is not Outcome.SUPPORTED
    assert "composing circuit, main effect on reasoning minus the largest on another cell" in why


def test_relations_that_a_cell_never_answers_take_no_part():
    def never(item):
        return cell_of(item) == "reasoning" and item.relation == JUDGED[0]

    finding, found, _ = judged(separable_finding, wide(misses=never), prompts=cells(200))
    assert (found, evidence(finding, "own.composing").n) == (Outcome.SUPPORTED, 7)
    costs = np.array([[0.1, 0.2]] * 5 + [[np.nan, np.nan]] * 3)
    with pytest.raises(Inconclusive, match=r"of 8 relations .*, 5 have a right answer in each"):
        Ablated(*[{"recall": costs, "lookup": costs}] * 4, {}, tuple(JUDGED)).answered()


def test_a_circuit_that_only_hampers_the_other_cells_does_not_serve_its_own():
    def costs(item):
        each = {"recall": {}, "reasoning": dict.fromkeys(REASONING, 0.4)}
        hampered = dict.fromkeys(RECALL, -0.4) if cell_of(item) != "recall" else {}
        return each.get(cell_of(item), {}) | hampered

    finding, found, _ = judged(separable_finding, with_size(Planted(costs), 4, 8))
    assert found is not Outcome.SUPPORTED
    assert evidence(finding, "own.retrieval").effect.value < 0.05


def test_a_circuit_that_costs_every_cell_as_many_nats_does_not_serve_the_lowest():
    def height(item):
        return 0.3 if cell_of(item) == "reasoning" else 1.0

    def costs(item):
        own = dict.fromkeys(RECALL, 0.4) if cell_of(item) == "recall" else {}
        return own | dict.fromkeys(REASONING, 0.2 / height(item))

    finding, found, _ = judged(separable_finding, with_size(Planted(costs, height=height), 4, 8))
    assert found is not Outcome.SUPPORTED
    assert evidence(finding, "own.composing").effect.value < 0.05


def test_one_circuit_that_serves_its_process_is_not_enough():
    found, why = judged(separable_finding, wide(reasoning=()))[1:]
    assert found is not Outcome.SUPPORTED
    assert "composing circuit" in why


def test_circuits_that_add_up_do_not_interact():
    finding, found, why = judged(interaction_finding, apart())
    assert found is Outcome.REFUTED
    assert why.startswith("largest interaction")
    assert finding.evidence[0].effect.value < 0.02


@pytest.mark.parametrize("joint", [0.3, -0.3])
def test_circuits_that_do_not_add_up_interact(joint):
    finding, found, why = judged(interaction_finding, wide(joint=joint))
    assert (found, why) == (Outcome.SUPPORTED, "every requirement holds")
    largest = finding.evidence[0]
    assert largest.key.endswith("above" if joint > 0 else "below")
    assert largest.effect.value == pytest.approx(0.3, abs=0.03)
    low, high = largest.effect.interval
    assert 0 < low <= largest.effect.value <= high
    assert largest.n == 8
    assert np.mean(list(finding.samples[largest.name].values())) == pytest.approx(
        largest.effect.value
    )


def test_losses_that_add_up_to_more_than_all_must_interact():
    """Two circuits in series: recall loses all without the first, .4 without the second."""
    in_series = wide(joint=-0.4, cost=0.5, other=0.2)
    found, why = judged(interaction_finding, in_series)[1:]
    assert (found, why[:32]) == (Outcome.INCONCLUSIVE, "recall loses 1.00 of its logit d")
    assert "0.40 without the other one, more than all of it" in why
    assert judged(interaction_finding, wide(joint=0.4, cost=0.5, other=0.2))[1] is (
        Outcome.SUPPORTED
    )


def test_a_pair_that_interacts_no_more_than_random_pairs_is_refuted():
    """Any two sets together cost less than their sum: saturation, not a tie of these two."""
    every = heads(*((layer, head) for layer in range(4) for head in range(4)))
    saturating = apart()
    saturating.joint, saturating.sets = -5.0, (every, every)
    finding, found, why = judged(interaction_finding, saturating)
    assert finding.evidence[0].state == "held"
    assert found is Outcome.REFUTED
    assert "against other pairs of sets" in why


def test_sets_that_serve_every_process_alike_are_no_circuits_that_interact():
    """Found as circuits for chance; together they cost less than their sum, in every cell."""

    def costs(item):
        of = {"recall": (0.31, 0.29), "lookup": (0.2, 0.2), "reasoning": (0.29, 0.31)}
        each = zip((RECALL, REASONING), of.get(cell_of(item), (0, 0)), strict=True)
        return {place: share for places, share in each for place in places}

    general = with_size(Planted(costs, joint=-0.3, sets=(RECALL, REASONING)), 4, 8)
    _, found, why = judged(interaction_finding, general)
    assert found is Outcome.INCONCLUSIVE
    assert why.startswith("no circuit of retrieval to interact with")


def test_circuits_that_share_components_cannot_be_crossed():
    both = dict.fromkeys(RECALL, 0.4)
    shared = Planted(lambda item: both if cell_of(item) != "lookup" else {}, spread=0.0)
    _, found, why = judged(interaction_finding, shared)
    assert found is Outcome.INCONCLUSIVE
    assert "of the same heads" in why


@pytest.mark.parametrize("about", [separable_finding, interaction_finding])
def test_a_model_or_materials_that_say_nothing_are_inconclusive(about):
    guesses = apart(misses=lambda item: cell_of(item) == "lookup")
    for subject, prompts in (
        (guesses, cells(100)),
        (apart(), cells(12)),
        (apart(), cells(100).where(lambda item: cell_of(item) != "lookup")),
    ):
        assert judged(about, subject, prompts=prompts)[1] is Outcome.INCONCLUSIVE
