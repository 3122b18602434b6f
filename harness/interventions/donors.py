"""The other item whose activations a resample ablation writes into an item's run."""

from collections.abc import Sequence

from harness.materials.items import Item, MaterialsError


def have_donors(items: Sequence[Item]) -> bool:
    """Whether `donors_of` finds a donor for every item: each task has two different answers."""
    answers: dict[str, set[str]] = {}
    for item in items:
        answers.setdefault(item.task, set()).add(item.answer)
    return all(len(of_task) > 1 for of_task in answers.values())


def donors_of(items: Sequence[Item]) -> tuple[Item, ...]:
    """For each item the next item of its task with another answer; after the last comes the first.

    Raises:
        MaterialsError: If an item has none.
    """
    by_task: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        by_task.setdefault(item.task, []).append(number)
    donors = []
    for number, item in enumerate(items):
        alike = by_task[item.task]
        start = alike.index(number)
        after = alike[start + 1 :] + alike[:start]
        other = next((i for i in after if items[i].answer != item.answer), None)
        if other is None:
            raise MaterialsError(
                f"item {item.id!r} has no other item of task {item.task!r} with another answer to "
                "take values from: use more items, or another ablation."
            )
        donors.append(items[other])
    return tuple(donors)
