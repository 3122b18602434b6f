"""The literature's contrast, recall against reasoning, beside questions of one process.

It differs in source and in steps, and in the question. Shown, and no longer decisive: the same
rule calls pairs of recall questions different too.
"""

from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.processes.contrasts import Questions
from harness.findings.specialisation.cells import controlled_cells
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.components import ComponentKind
from harness.verdicts.evidence import Effect, Evidence

RELATIONS = 8  # of which all pairs are compared: 28


def diagonal_evidence(
    study: Study, kind: ComponentKind, threshold_d: float, needed: tuple[int, int]
) -> tuple[Evidence, ...]:
    """Components beyond the bar between recall and reasoning, and between recall questions.

    None where the materials do not ask for both.
    """
    cells = controlled_cells(kind, study.activations)
    questions = Questions.of(cells.values, study.prompts.items)
    recall, reasoning = questions.asked == "recall", questions.asked == "reasoning"
    relations = np.unique(questions.relation[recall])[:RELATIONS]
    if not reasoning.any() or len(relations) < 2:
        return ()
    metrics = len(cells.metrics)
    bar = stats.scaled_count(*needed, cells.values.shape[1] // metrics)

    def count(first: np.ndarray, second: np.ndarray) -> int:
        differs = beyond_in_both_halves(questions, first, second, threshold_d)
        return int(differs.reshape(-1, metrics).any(1).sum())

    pairs = [
        count(*(recall & (questions.relation == name) for name in pair))
        for pair in combinations(relations, 2)
    ]
    called = sum(found >= bar for found in pairs)
    return (
        Evidence(
            f"{kind}s that differ between recall and reasoning questions",
            Effect(
                "count",
                count(recall, reasoning),
                method=f"|d| > {threshold_d:g} with one sign on both halves of the entities",
            ),
            n=int(recall.sum()),
        ),
        Evidence(
            "pairs of recall questions that the same rule calls different",
            Effect(
                "share",
                called / len(pairs),
                method=f"{called} of {len(pairs)} pairs of relations have {bar} {kind}s or more; "
                f"{np.median(pairs):.0f} in the middle",
            ),
            n=len(pairs),
        ),
    )


def beyond_in_both_halves(
    questions: Questions,
    first: Bool[np.ndarray, " prompt"],
    second: Bool[np.ndarray, " prompt"],
    threshold_d: float,
) -> Bool[np.ndarray, " place"]:
    """Places where prompts differ by more than the bar, alike on both halves of the entities."""
    by_half: list[Float[np.ndarray, " place"]] = []
    for split in (DISCOVERY, EVALUATION):
        half = questions.split == split
        groups = (questions.values[half & side] for side in (first, second))
        by_half.append(np.nan_to_num(stats.cohens_d(*groups)))
    one, two = by_half
    alike = np.sign(one) == np.sign(two)
    return np.asarray(alike & (np.minimum(np.abs(one), np.abs(two)) > threshold_d))
