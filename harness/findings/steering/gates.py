"""Gates of the steering findings: conditions without which nothing can be said."""

from dataclasses import replace

from harness.findings.gates import causal_gates, competence_gates
from harness.findings.processes.kinds import COMPOSING
from harness.findings.processes.materials import order_gate
from harness.findings.steering.effects import BothTasks
from harness.findings.steering.fitting import fitting_prompts
from harness.findings.steering.pool import Pool
from harness.findings.steering.selection import SteeringStudy
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require

LEAST_FITTED = 5  # discovery pairs to fit a direction on, and as many to select with


def steering_gates(study: Study, gate: float) -> tuple[Gate, ...]:
    """The causal gates; competence on the prompts the direction is fitted on; enough pairs."""
    gates = (*require(*order_gate(study.prompts, COMPOSING)), *causal_gates(study, gate))
    if not all(g.met for g in gates):
        return gates
    source = fitting_prompts(study)
    if source.name != study.prompts.name:
        gates += competence_gates(replace(study, prompts=source), gate, source.tasks)
    discovery = [i for i in source.items if i.split != EVALUATION]
    fewest = min(len({i.pair for i in discovery if i.task == t}) for t in study.prompts.tasks)
    reason = (
        f"{fewest} discovery pairs of a task: {2 * LEAST_FITTED} are needed, half to fit a "
        "direction and half to select how to steer"
    )
    return (*gates, Gate("discovery pairs", fewest >= 2 * LEAST_FITTED, reason))


def room_gate(steering: SteeringStudy, pool: Pool) -> Gate:
    """Whether the second task's answers can rise and fall."""
    room = steering.rule.criterion.room
    reason = (
        f"{pool.description}: {pool.accuracy:.2f} of discovery, where {room[0]:g} to {room[1]:g} "
        "leave room to rise and to fall"
    )
    return Gate("room", pool.with_room(room), reason)


def scored_gates(steering: SteeringStudy, effects: BothTasks) -> tuple[Gate, ...]:
    """Whether enough items of each task can be judged."""
    least = steering.rule.criterion.least
    return tuple(
        Gate.of(
            f"{task} items",
            int(of_task.scored.sum()) >= least,
            f"{int(of_task.scored.sum())} {task} pairs of the evaluation half can be scored, "
            f"{least} are needed",
            unmet=": use more items",
        )
        for task, of_task in zip(steering.tasks, effects, strict=True)
    )
