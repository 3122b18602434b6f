"""The published finding of h4: do training folds select the same components."""

from dataclasses import replace

import numpy as np

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.gates import folds_gate
from harness.findings.specialisation.cells import Cells, published_cells
from harness.findings.specialisation.rules import PublishedRule
from harness.findings.twins import TwinResult, on_twins, twin_controls, twins_that_pass
from harness.materials.items import PromptSet
from harness.study.study import Study
from harness.verdicts.components import ComponentKind
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require


def published_consistency_finding(
    study: Study,
    kind: ComponentKind,
    rule: PublishedRule,
    *,
    folds: int,
    share: float,
    published: str,
) -> Finding:
    """Share of specialised components whose modal type holds in the training folds."""
    require(folds_gate(study, len(study.prompts.pairs), folds))

    def measure(activations: Activations) -> tuple[int, int]:
        cells = published_cells(kind, activations)
        seed = study.plan.seed
        return published_consistency(
            cells, study.prompts, rule, folds=folds, share=share, seed=seed
        )

    consistent, specialised = measure(study.activations)
    gates = (
        Gate.of(
            "something to hold",
            specialised > 0,
            unmet=f"no {kind} is specialised, so none can be consistent",
        ),
        _training_reach(study, kind, rule, folds),
    )
    evidence = Evidence(
        f"{kind}s consistent over training folds",
        Effect(
            "share",
            _share(consistent, specialised),
            method=f"{consistent:,} of {specialised:,}, which is all there are: no interval",
        ),
        threshold=share,
        decided_by="estimate",
        relation=">=",
        n=len(study.prompts.pairs),
        published=published,
    )
    results = {
        name: TwinResult(_share(held, found), f"{held:,} of {found:,}")
        for name, (held, found) in on_twins(study, measure).items()
    }
    twins = twin_controls(results, meets=lambda value: value >= share)
    return Finding((evidence,), twins, gates, notes=twins_that_pass(twins))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _training_reach(study: Study, kind: ComponentKind, rule: PublishedRule, folds: int) -> Gate:
    """Whether any component could pass with the prompts of a training fold."""
    count = study.prompts.count()
    train = [int(count[task] * (folds - 1) / folds) for task in study.prompts.tasks]
    cells = published_cells(kind, study.activations)
    floor = rule.floor(train, cells.values.shape[1] // len(cells.metrics))
    return Gate.of(
        "reach",
        floor <= rule.alpha,
        f"a training fold of {train[0]} + {train[1]} prompts can reach an adjusted p of "
        f"{floor:.2g} at best, needed <= {rule.alpha:g}",
        unmet=f": no {kind} could pass in any fold",
    )


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
