"""Selection repeated on training folds, as published."""

from dataclasses import replace

import numpy as np

from harness import stats
from harness.findings.specialisation.cells import Cells
from harness.findings.specialisation.rules import PublishedRule
from harness.materials.items import PromptSet


def published_consistency(
    cells: Cells, prompts: PromptSet, rule: PublishedRule, *, folds: int, share: float, seed: int
) -> tuple[int, int]:
    """(consistent, specialised) components: whose modal type holds in `share` of training folds.

    As published: the rule is refitted on each four fifths, never tested on the fifth, and
    "mixed" counts as a type.
    """
    whole = rule(cells, prompts)
    types = []
    for train, _ in stats.grouped_folds([i.pair for i in prompts.items], folds, seed):
        subset = replace(prompts, items=tuple(prompts.items[i] for i in train))
        types.append(rule(cells.rows(train), subset).type)
    if not whole.count:
        return 0, 0
    modal = stats.modal_share(np.array(types)[:, whole.passed], excluded=("",))
    return int((modal >= share).sum()), whole.count
