"""The finding of h0 on competence: does the model answer the questions of the other claims."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.gates import answers_gate, asked
from harness.findings.processes.kinds import CELLS
from harness.findings.requirements import sampled
from harness.materials.cell_sets import draw_cells, whole_cells
from harness.materials.items import PromptSet
from harness.materials.sets import domain_of, draw_plain
from harness.study.generation import generated, has_options
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding, require
from harness.verdicts.samples import by_sample

GENERATED_TOKENS = 32  # of an answer to multiple choice


@dataclass(frozen=True, slots=True)
class Answered:
    """How the prompts of one task are answered.

    Attributes:
        name: Of the evidence.
        correct: 1 where the answer beats every distractor, else 0.
        exact: 1 where greedy decoding begins with the answer, else 0.
        sample: Name of each prompt's relation, or of its pair.
        decides: Whether they must be answered.
    """

    name: str
    correct: Float[np.ndarray, " prompt"]
    exact: Float[np.ndarray, " prompt"]
    sample: np.ndarray
    decides: bool


def competence_finding(study: Study, gate: float) -> Finding:
    """Accuracy of each task on plain and on crossed prompts, each with its interval.

    Of the cells the plain prompts decide: where crossed ones are not answered, claims on them are
    judged on plain prompts. So no more crossed ones are asked than it takes to see that.
    """
    require(answers_gate(study))
    answered: list[Answered] = []
    for asks in _sets(study):
        of_set = replace(study, prompts=asks.prompts)
        answered += _answered(asked(of_set, gate, asks.tasks, surely=asks.decides), asks)
    evidence = tuple(_accuracy(task, gate) for task in answered)
    samples = {task.name: by_sample(task.sample, task.correct.astype(float)) for task in answered}
    thinking = study.subject.thinking if not all(e.passed for e in evidence) else ""
    notes = (thinking,) if thinking else ()
    return Finding((*evidence, *_generated(study)), samples=samples, notes=notes)


@dataclass(frozen=True, slots=True)
class Asks:
    """Prompts on which competence is measured.

    Attributes:
        name: In the evidence.
        tasks: Those that are measured.
        decides: Whether they must be answered.
    """

    name: str
    prompts: PromptSet
    tasks: tuple[str, ...]
    decides: bool = True


def _sets(study: Study) -> Iterator[Asks]:
    """Every set on which competence is measured."""
    prompts, plan = study.prompts, study.plan
    whole = whole_cells(prompts.name)
    if whole is not None:
        cells, difficulty = whole
        name = replace(cells, tasks=None, cell="", crossed=False).named(difficulty)
        yield Asks("plain", plan.labelled(draw_cells(name, plan.items, plan.seed)), CELLS)
    domain = domain_of(prompts)
    if domain is not None and prompts.crossed:
        plain = plan.labelled(draw_plain(domain, plan.items, plan.seed))
        yield Asks("plain", plain, tuple(plain.count()))
    if whole is None or prompts.crossed:
        yield Asks(prompts.name, prompts, tuple(prompts.count()), decides=whole is None)
    # The first control crosses lookup with reasoning: lookup is missing from the main set.
    for control in study.lookup_controls()[:1]:
        yield Asks(control.prompts.name, control.prompts, ("lookup",))


def _answered(study: Study, asks: Asks) -> Iterator[Answered]:
    prompts = study.prompts
    answers = study.subject.answers(prompts)
    task_of = np.array([item.task for item in prompts.items])
    relation, pair = np.array([(item.relation, item.pair) for item in prompts.items]).T
    sample = sampled(relation, pair)
    for task in asks.tasks:
        rows = task_of == task
        yield Answered(
            f"{task} accuracy, {asks.name}",
            answers.correct[rows],
            answers.exact[rows],
            sample[rows],
            asks.decides,
        )


def _accuracy(task: Answered, gate: float) -> Evidence:
    k, n = int(task.correct.sum()), len(task.correct)
    exact = float(task.exact.mean())
    return Evidence(
        task.name,
        Effect(
            "share",
            k / n,
            stats.binomial_interval(k, n),
            method=f"answer above every distractor; greedy exact match {exact:.2f}",
        ),
        threshold=gate if task.decides else None,
        relation=">=" if task.decides else "secondary",
        n=n,
    )


def _generated(study: Study) -> list[Evidence]:
    """Secondary, where prompts show options by letter: which of them the greedy text names."""
    if not has_options(study.prompts):
        return []
    text = generated(study.subject, study.prompts, GENERATED_TOKENS)
    task_of = np.array([item.task for item in study.prompts.items])
    rows = []
    for task in study.prompts.count():
        parsed, right = (x[task_of == task] for x in (text.parsed, text.right))
        k, n = int(right.sum()), len(right)
        method = (
            f"greedy, {GENERATED_TOKENS} tokens; parsed {parsed.mean():.2f}, what is not parsed is "
            "wrong"
        )
        effect = Effect("share right", k / n, stats.binomial_interval(k, n), method=method)
        rows.append(Evidence(f"{task} generated", effect, n=n))
    return rows
