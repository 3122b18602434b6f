"""h13: five heads that carry most of a process, and five that do not."""

import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.few import few_heads_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.made_cells import cells
from tests.support.planted_circuits import Planted, heads, with_size

RULE = CircuitRule(doses=(), target=0.6, margin=0.1, alpha=0.05, draws=20)
PLAN = Plan(seed=0, items=100, resamples=199)
FIVE = heads((0, 3), (1, 2), (2, 0), (3, 1), (4, 6))


def found(costs, process=RETRIEVAL, layers=6):
    subject = with_size(Planted(costs=costs), layers, 8)
    study = Study(subject, cells(100), PLAN)
    finding = finding_of(few_heads_finding, study, process, RULE, count=5, gate=0.6)
    return finding, *judge(finding, Criterion.CONTROLLED)


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_five_heads_that_carry_a_process_are_found(process):
    own = process.cells[0]
    finding, outcome, _ = found(
        lambda i: dict.fromkeys(FIVE, 0.17) if cell_of(i) == own else {}, process
    )
    assert outcome is Outcome.SUPPORTED
    assert {(c.layer, c.index) for c in finding.components} == {place[1:] for place in FIVE}
    alone = next(e for e in finding.evidence if e.key == "alone")
    assert alone.effect.value == pytest.approx(1, abs=0.1)


def test_a_process_that_many_heads_carry_is_refuted():
    every = heads(*((layer, head) for layer in range(6) for head in range(8)))
    finding, outcome, _ = found(
        lambda i: dict.fromkeys(every, 0.02) if cell_of(i) == "recall" else {}
    )
    assert outcome is Outcome.REFUTED
    assert finding.evidence[0].effect.value < 0.3


def test_five_heads_that_every_question_needs_are_refuted():
    assert found(lambda _: dict.fromkeys(FIVE, 0.17))[1] is Outcome.REFUTED


def test_five_of_a_few_heads_are_not_few():
    _, outcome, why = found(lambda _: {}, layers=2)
    assert outcome is Outcome.INCONCLUSIVE
    assert "5 of the 16 heads of this model are not few" in why
