"""Interventions measured: runs from the store or the model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.swept import SweepResult
from harness.interventions.directions import Directions
from harness.interventions.donors import donors_of
from harness.interventions.interventions import (
    INTACT,
    MEAN,
    RESAMPLE,
    Inputs,
    Intervention,
    interventions_address,
)
from harness.materials.items import Item, PromptSet
from harness.study.subject import Subject

if TYPE_CHECKING:
    from harness.adapter import Model
    from harness.interventions.edits import Reference

SWEEP_VERSION = 5  # raise it when an edit, a measure or the choice of donors changes its meaning
_OF_A_RUN = ("log_probability", "logit_difference", "correct", "divergence", "applicable")
_SHARD = 32  # prompts a shard: what a killed sweep loses at most


def swept(
    subject: Subject,
    prompts: PromptSet,
    interventions: Sequence[Intervention],
    *,
    means_over: PromptSet | None = None,
    directions: Sequence[Directions] = (),
) -> SweepResult:
    """Every prompt under every intervention, from the store or measured; resumes shard by shard.

    A run that this process has made already, for another question, is not made again.

    An intervention that does not apply to a prompt (no such position, no counterfactual of the
    same length) leaves nan there: see `SweepResult.applicable`.

    Args:
        subject: The model.
        prompts: The prompts.
        interventions: Each is a run of its own.
        means_over: The prompts whose mean activations a mean ablation writes.
        directions: Those that interventions name by number.
    """
    methods = {i.method for i in interventions}
    if MEAN in methods and means_over is None:
        raise ValueError("a mean ablation needs prompts to take means over: pass means_over")
    means = means_over if MEAN in methods else None
    donors: dict[str, Item] = {}
    if RESAMPLE in methods:
        donors = dict(zip((i.id for i in prompts.items), donors_of(prompts.items), strict=True))

    addressed = {_address(i, means, directions): i for i in (*interventions, INTACT)}
    wanted = [_address(i, means, directions) for i in interventions]

    def measure(model: "Model", items: tuple[Item, ...]) -> Mapping[str, np.ndarray]:
        known = subject.runs.setdefault((prompts.hash, items[0].id), {})
        new = [address for address in addressed if address not in known]
        if not known.keys() >= set(wanted):  # the intact run comes with every other one
            reference = None if means is None else mean_activations(subject, model, means)
            inputs = Inputs(reference, directions)
            result = model.sweep(
                items,
                [addressed[address].edits(inputs) for address in new],
                donors=[donors[i.id] for i in items] if donors else None,
                partial=True,
                keep=True,
                progress=lambda cells: subject.progress.begin(cells / len(new)),
            )
            known |= {address: _run(result, row) for row, address in enumerate(new)}
        return _joined([known[address] for address in wanted])

    what = {
        "kind": "sweep",
        "version": SWEEP_VERSION,
        "interventions": interventions_address(interventions, directions),
        "means": None if means is None else means.hash,
    }
    arrays = subject.fetch(what, prompts, measure, shard_size=_SHARD)
    return SweepResult.from_arrays({name: np.ascontiguousarray(a.T) for name, a in arrays.items()})


def _address(
    intervention: Intervention, means: PromptSet | None, directions: Sequence[Directions]
) -> str:
    """Everything that a run depends on, apart from model and prompts."""
    mean_of = means.hash if means is not None and intervention.method == MEAN else ""
    return interventions_address([intervention], directions) + mean_of


def _run(result: SweepResult, row: int) -> dict[str, np.ndarray]:
    """What was measured of each prompt under one edit set, and what no edit set changes."""
    arrays = result.arrays()
    return {name: array[row] if array.ndim == 2 else array for name, array in arrays.items()}


def _joined(runs: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Runs of the same prompts as the store has them: the prompts first, then the runs."""
    found = {name: np.stack([run[name] for run in runs], axis=1) for name in _OF_A_RUN}
    return {**runs[0], **found}


def mean_activations(subject: Subject, model: "Model", prompts: PromptSet) -> "Reference":
    """What a mean ablation writes. Not stored: a forward over a hundred prompts costs less."""
    if prompts.hash not in subject.references:
        subject.references[prompts.hash] = model.references(prompts.items)
    reference: Reference = subject.references[prompts.hash]
    return reference
