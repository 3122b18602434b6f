"""What steering did, in sentences: the notes of its findings."""

from harness.findings.requirements import interval
from harness.findings.steering.effects import BothTasks, accuracy_change
from harness.findings.steering.selection import SteeringStudy
from harness.verdicts.wording import moved_in_words


def direction_notes(steering: SteeringStudy) -> tuple[str, ...]:
    """Where the direction comes from, and in which layers there is none."""
    fitted, rule = steering.fitted, steering.rule
    source = (
        f"direction: difference in means at the last token over {fitted.pairs} discovery pairs of "
        f"{fitted.source}; layer and dose selected on up to {rule.selection.pairs} other discovery "
        f"pairs; edited: {rule.edits.positions} tokens"
    )
    missing = sorted(set(range(len(fitted.directions.vectors))) - set(fitted.layers))
    if not missing:
        return (source,)
    return (source, f"no direction in layers {missing}: the tasks' means are the same there")


def effect_in_words(what: str, steering: SteeringStudy, effects: BothTasks, row: int) -> str:
    """Whether an intervention helps or hurts each task, by the interval of its logit difference."""
    numbers: list[str] = []
    verbs: list[str] = []
    for name, task in zip(steering.tasks[::-1], (effects.second, effects.first), strict=True):
        low, high = interval(
            task.logit_difference[row, task.scored], steering.study, task.relations[task.scored]
        )
        accuracy = accuracy_change(task, row)
        verbs.append(f"{moved_in_words(low, high)} {name}")
        numbers.append(
            f"{name} {task.mean[row]:+.2f} nats [{low:.2f}, {high:.2f}], accuracy {accuracy} "
            f"(p {accuracy.test.p:.2g})"
        )
    return f"{what} {' and '.join(verbs)}: {'; '.join(numbers)}"
