"""h12: whether an answer becomes readable the later the more steps it takes."""

from dataclasses import replace

from harness.findings.gates import competence_gates
from harness.findings.processes.hops import (
    HopRule,
    Read,
    deeper,
    in_order,
    measured,
    read_alike,
)
from harness.findings.processes.materials import LEAST_RELATIONS
from harness.findings.processes.readable import ANSWER, ONE_STEP, Curves, Stories
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import MOST_STEPS
from harness.study.study import Study
from harness.verdicts.evidence import Evidence
from harness.verdicts.judge import Finding


def steps_finding(study: Study, rule: HopRule) -> Finding:
    """Whether an answer is readable the later the more steps it takes.

    One step against those of reasoning in the same stories; and one step more than that, in
    stories of its own, where the model answers these.

    Args:
        study: The model, on prompts with one question each.
        rule: When words count as readable in an order.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    read = measured(study, rule)
    steps = read.stories.difficulty.steps
    name = f"depth of the answer of {steps} steps minus that of one"
    curves = {ONE_STEP: read.found.curves(ONE_STEP), _of(steps): read.found.curves(ANSWER)}
    order = in_order(read, name, curves)
    further, why_not = _further(read)
    return Finding(
        (*order.evidence, *further),
        gates=read.gates,
        notes=(read.note, *why_not),
        samples=order.samples,
        severity=order.severity,
    )


def _of(steps: int) -> str:
    return f"answer of {steps} steps"


def _further(read: Read) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """The answer of one step more against that of the reasoning questions; or why not."""
    study, steps = read.study, read.stories.difficulty.steps
    if steps == MOST_STEPS:
        return (), (f"no story has more than {MOST_STEPS} steps",)
    harder = replace(read.stories.difficulty, steps=steps + 1)
    name, items = f"cells:lookup-reasoning@{harder}", max(study.plan.items // 2, 1)
    prompts = study.plan.labelled(draw_cells(name, items, study.plan.seed))
    there = replace(study, prompts=prompts)
    unmet = [gate.reason for gate in competence_gates(there, read.rule.gate) if not gate.met]
    if unmet:
        return (), (f"{steps + 1} steps could not be asked for: {'; '.join(unmet)}",)
    stories = Stories.answered(there, prompts, harder)
    both = tuple(sorted({*read.found.relations} & {*stories.relations}))
    if len(both) < LEAST_RELATIONS:
        return (), (f"{steps + 1} steps are answered in {len(both)} of the relations alone",)
    more = read_alike(read, stories)
    curves = {_of(steps): _answers(read, both), _of(steps + 1): _answers(more, both)}
    name = f"depth of the answer of {steps + 1} steps minus that of {steps}"
    return (deeper(read, name, curves, both, key="further"),), ()


def _answers(read: Read, relations: tuple[str, ...]) -> Curves:
    at = [read.found.relations.index(name) for name in relations]
    return read.found.curves(ANSWER)[at]
