"""Where patching from the counterfactual prompt carries the answer over: a map, which h6 shows."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.plots import patching_map
from harness.findings.effects import TaskEffects, measured_effects, part
from harness.interventions.interventions import COUNTERFACTUAL, Intervention
from harness.interventions.sites import Site
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.plots import Plot

PATCHED = ("subject", "premises", "final")  # tokens
PATCHED_PAIRS = 20  # evaluation pairs of the map


def patching_plots(study: Study) -> tuple[Plot, ...]:
    """The layer x position map; none if the materials have no counterfactual prompts."""
    layers, tasks = study.subject.architecture.layers, study.prompts.tasks
    prompts = part(study.prompts, EVALUATION, tasks, PATCHED_PAIRS)
    if not all(i.counterfactual_prompt for i in prompts.items):
        return ()
    each = [
        Intervention((Site("resid", layer),), COUNTERFACTUAL, position)
        for layer in range(-1, layers)
        for position in PATCHED
    ]
    whole = Intervention((Site("resid", -1),), COUNTERFACTUAL)
    effects = measured_effects(study, prompts, [*each, whole])
    shares = _shares({task: effects[task] for task in tasks}, layers)
    if not shares:
        return ()
    names = ["emb", *map(str, range(layers))]
    return (patching_map(shares, names, PATCHED, tasks, len(prompts.pairs)),)


def _shares(
    effects: Mapping[str, TaskEffects], layers: int
) -> dict[str, Float[np.ndarray, "layer position"]]:
    """Fall of the logit difference as a share of the fall on the counterfactual prompt itself.

    Empty if a task does not fall there: then there is nothing to carry over.
    """
    shares = {}
    for task, of_task in effects.items():
        falls = 0.0 - of_task.logit_difference
        means = np.array([np.nan if np.isnan(f).all() else np.nanmean(f) for f in falls])
        *patched, whole = means
        if not whole > 0 or np.isnan(patched).all():
            return {}
        shares[task] = (means[:-1] / whole).reshape(layers + 1, len(PATCHED))
    return shares
