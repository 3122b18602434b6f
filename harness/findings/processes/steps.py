"""h12: whether an answer becomes readable the later the more steps it takes."""

from dataclasses import replace

from harness.findings.gates import competence_gates
from harness.findings.processes.hops import (
    READERS,
    HopRule,
    Read,
    answer_gate,
    deeper,
    in_order,
    measured,
)
from harness.findings.processes.materials import LEAST_RELATIONS
from harness.findings.processes.readable import (
    ANSWER,
    ONE_STEP,
    Curves,
    Readings,
    Stories,
)
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import MOST_STEPS
from harness.study.study import Study
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
    curves = {ONE_STEP: read.curves(ONE_STEP), _of(steps): read.curves(ANSWER)}
    order = in_order(read, name, curves, read.earliest(ONE_STEP).curves(ONE_STEP))
    further = _further(read)
    return Finding(
        (*order.evidence, *further.evidence),
        gates=(
            *read.gates,
            answer_gate(read, ONE_STEP, ONE_STEP),
            answer_gate(read, ANSWER, _of(steps)),
            *further.gates,
        ),
        notes=(read.note, *further.notes),
        samples=order.samples,
        severity=order.severity,
    )


def _of(steps: int) -> str:
    return f"answer of {steps} steps"


def _further(read: Read) -> Finding:
    """The answer of one step more against that of the reasoning questions; or why not."""
    study, steps = read.study, read.stories.difficulty.steps
    if steps == MOST_STEPS:
        return Finding((), notes=(f"no story has more than {MOST_STEPS} steps",))
    harder = replace(read.stories.difficulty, steps=steps + 1)
    name, items = f"cells:lookup-reasoning@{harder}", max(study.plan.items // 2, 1)
    prompts = study.plan.labelled(draw_cells(name, items, study.plan.seed))
    there = replace(study, prompts=prompts)
    unmet = [gate.reason for gate in competence_gates(there, read.rule.gate) if not gate.met]
    if unmet:
        reason = f"{steps + 1} steps could not be asked for: {'; '.join(unmet)}"
        return Finding((), notes=(reason,))
    stories = Stories.answered(there, prompts, harder)
    both = tuple(sorted({*read.names.relations} & {*stories.relations}))
    if len(both) < LEAST_RELATIONS:
        reason = f"{steps + 1} steps are answered in {len(both)} of the relations alone"
        return Finding((), notes=(reason,))
    more = Read.of(there, read.rule, stories)
    longer = more.earliest(ANSWER)
    curves = {_of(steps): _answers(read.names, both), _of(steps + 1): _answers(longer, both)}
    earliest = _answers(read.earliest(ANSWER), both)
    name = f"depth of the answer of {steps + 1} steps minus that of {steps}"
    return Finding(
        (deeper(read, name, curves, earliest, both, key="further"),),
        gates=(answer_gate(more, ANSWER, _of(steps + 1)),),
        notes=(f"the {_of(steps + 1)} was read by {READERS[longer.reader]}",),
    )


def _answers(found: Readings, relations: tuple[str, ...]) -> Curves:
    return found.curves(ANSWER)[[found.relations.index(name) for name in relations]]
