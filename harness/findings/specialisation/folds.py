"""Selection repeated on training folds and on bootstrap resamples of the pairs."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.specialisation.cells import Cells
from harness.findings.specialisation.contrasts import Contrast
from harness.findings.specialisation.rules import ControlledRule, PublishedRule
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


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How many components selected on training folds hold on the held-out fold.

    Attributes:
        selected, held: Components, summed over folds.
        by_fold: Share that held in each fold; nan where a fold selected nothing.
    """

    selected: int
    held: int
    by_fold: Float[np.ndarray, " fold"]

    @property
    def share(self) -> float:
        """Held of selected; nan if nothing was selected."""
        return self.held / self.selected if self.selected else float("nan")


def pair_folds(c: Contrast, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(training, held-out) pairs of each fold."""
    return stats.grouped_folds([str(i) for i in range(len(c.values))], folds, seed)


def held_out_consistency(c: Contrast, rule: ControlledRule, *, folds: int, seed: int) -> HeldOut:
    """Select cells on the training pairs; on the held-out pairs require the bar and the sign."""
    counts = []
    for train, test in pair_folds(c, folds, seed):
        d_train, _, selected = rule.select(c, train)
        d_test = c.effect(test)
        beyond = np.abs(d_test) > rule.threshold_d
        held = selected & beyond & (np.sign(d_test) == np.sign(d_train))
        counts.append([int(any_cell(cells, c).sum()) for cells in (selected, held)])
    by_fold = [held / selected if selected else float("nan") for selected, held in counts]
    selected, held = (sum(column) for column in zip(*counts, strict=True))
    return HeldOut(selected, held, np.array(by_fold))


def any_cell(cells: Bool[np.ndarray, "... cell"], c: Contrast) -> Bool[np.ndarray, "... component"]:
    """Components of which at least one cell is true."""
    return np.asarray(cells.reshape(*cells.shape[:-1], -1, len(c.cells.metrics)).any(-1))


def beyond_bar(c: Contrast, threshold_d: float) -> Bool[np.ndarray, " component"]:
    """Components with a cell beyond the bar, over all pairs."""
    return any_cell(np.abs(c.effect(np.arange(len(c.values)))) > threshold_d, c)


def resampled_selections(
    c: Contrast, threshold_d: float, *, resamples: int, seed: int
) -> Bool[np.ndarray, "resample component"]:
    """Components beyond the bar on each bootstrap resample of the pairs."""
    selected = stats.bootstrap_selection(
        c.cells.values,
        c.treated,
        c.control,
        threshold=threshold_d,
        resamples=resamples,
        seed=seed,
    )
    return any_cell(selected, c)
