"""Crossing the prompts of a file: any two labelled classes, with balanced words."""

from collections import Counter
from dataclasses import replace

from harness.materials.domains import frames as crossed_frames
from harness.materials.files.reading import split_pairs
from harness.materials.items import Item, MaterialsError, PromptSet, cross


def cross_set(prompts: PromptSet, name: str = "") -> PromptSet:
    """Each item of the first task in one prompt with an item of the second; see `prompts.cross`.

    Partners are the items of one pair if it has both tasks; the others are matched in order. If
    partners matched in order are in different splits, all such pairs are split again by name. The
    question is the item's `question`, or its prompt. Premises that both share stand before the
    questions; others stand with their own question. Items of a third task are left out. The second
    set is crossed alike if it has both tasks, else left out.

    Raises:
        MaterialsError: If one task has items without a partner.
    """
    together, alone = _partners(prompts)
    frames = crossed_frames("crossed")
    matched = [_ready(a, b, a.pair if n == 0 else f"{a.pair}/{n}") for n, a, b in together]
    in_order = [_ready(a, b, f"{a.id}+{b.id}") for a, b in alone]
    if any(a.split != b.split for a, b in in_order):
        split = split_pairs([item for two in in_order for item in two])
        in_order = [
            (replace(a, split=split[a.pair]), replace(b, split=split[b.pair])) for a, b in in_order
        ]
    crossed: list[Item] = []
    pairs_in: Counter[str] = Counter()
    for a, b in matched + in_order:
        frame = sorted(frames)[pairs_in[a.split] % len(frames)]  # both frames in each split
        pairs_in[a.split] += 1
        template = f"{frame}-{a.template}" if a.template and a.template == b.template else frame
        crossed += cross(a, b, frame=frames[frame], template=template, pair=a.pair)
    called = name or f"{prompts.name}-crossed"
    items, tasks = tuple(crossed), prompts.tasks
    again = replace(prompts, items=prompts.second, second=())
    second = cross_set(again).items if set(tasks) <= set(again.count()) else ()
    return PromptSet(called, items, tasks, crossed=True, notes=prompts.notes, second=second)


def _partners(
    prompts: PromptSet,
) -> tuple[list[tuple[int, Item, Item]], list[tuple[Item, Item]]]:
    """(number within the pair, first, second) of one pair, and partners matched in order."""
    first, second = prompts.tasks
    pairs: dict[str, dict[str, list[Item]]] = {}
    for item in prompts.items:
        if item.task in prompts.tasks:
            pairs.setdefault(item.pair, {first: [], second: []})[item.task].append(item)
    together = [
        (n, a, b)
        for row in pairs.values()
        for n, (a, b) in enumerate(zip(row[first], row[second], strict=False))
    ]
    used = {item.id for _, a, b in together for item in (a, b)}
    left = {
        task: [i for i in prompts.items if i.task == task and i.id not in used]
        for task in prompts.tasks
    }
    if len(left[first]) != len(left[second]):
        more, fewer = sorted(prompts.tasks, key=lambda task: -len(left[task]))
        extra = len(left[more]) - len(left[fewer])
        named = ", ".join(repr(item.id) for item in left[more][-min(extra, 3) :])
        raise MaterialsError(
            f"{prompts.name} cannot be crossed: {len(left[first])} {first} and "
            f"{len(left[second])} {second} items without a pair of both; give every item a partner "
            f"in the pair column, or take {extra} {more} items away (the last: {named})."
        )
    return together, list(zip(left[first], left[second], strict=True))


def _ready(a: Item, b: Item, pair: str) -> tuple[Item, Item]:
    """Two items prepared for crossing: one pair, one split, shared premises or none."""
    shared = a.premises == b.premises and bool(a.question) and bool(b.question)
    return _asking(a, pair, shared), _asking(b, pair, shared)


def _asking(item: Item, pair: str, shared: bool) -> Item:
    question = item.question or item.prompt
    if shared or not item.question:  # a complete prompt contains its premises
        premises = item.premises if shared else ()
    else:
        question, premises = " ".join([*item.premises, item.question]), ()
    return replace(item, pair=pair, question=question.strip(), premises=premises)
