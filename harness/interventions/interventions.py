"""Edited runs as plain values: what is edited, how, and what a stored result is addressed by.

Nothing here loads torch: a result that is stored already is found from these values alone, and the
engine's edits are made only when a model has to run.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.interventions.directions import Directions
from harness.interventions.sites import Positions, Site

if TYPE_CHECKING:
    from harness.interventions.edits import EditSet, Reference


@dataclass(frozen=True, slots=True)
class Inputs:
    """What interventions read besides the run that they edit.

    Attributes:
        reference: Mean activations, for `MEAN`.
        directions: Directions that interventions name by number.
    """

    reference: "Reference | None" = None
    directions: Sequence[Directions] = ()


MakeEdits = Callable[[Site, "Intervention", Inputs], "EditSet"]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to edit one site.

    Attributes:
        name: In tables, and in the address of stored results.
        edits: Makes the engine's edits of one site of an intervention.
    """

    name: str
    edits: MakeEdits

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Intervention:
    """One edited run of a prompt: the same method at every site.

    Attributes:
        sites: Where. Neurons of one layer belong into one site: see `joined`.
        method: How; one of the constants below.
        positions: At which tokens.
        dose: For `ADD` a multiple of the direction, which at 1 is as long as the difference in
            means and below 0 points the other way; for `RESCALE` the s of x + s (x . r) r.
        direction: For the methods that use one, its number in `Inputs.directions`.
    """

    sites: tuple[Site, ...]
    method: Method
    positions: Positions = "all"
    dose: float = 1.0
    direction: int = 0

    def __str__(self) -> str:
        dose = f" {self.dose:+g}" if self.method in DOSED else ""
        return f"{self.method}{dose} at {self.where}"

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that it edits, in the order of its sites."""
        return tuple(dict.fromkeys(site.layer for site in self.sites))

    @property
    def where(self) -> str:
        """Its layers in words."""
        return f"layer {self.layers[0]}" if len(self.layers) == 1 else "every layer"

    def edits(self, inputs: Inputs) -> "EditSet":
        """The engine's edits.

        Raises:
            ValueError: If a mean is needed and none given, or a direction has no length.
        """
        return tuple(e for site in self.sites for e in self.method.edits(site, self, inputs))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sites": [(s.kind, s.layer, s.index) for s in self.sites],
            "method": self.method.name,
            "positions": self.positions,
            "dose": self.dose,
            "direction": self.direction,
        }


def interventions_address(
    interventions: Sequence[Intervention], directions: Sequence[Directions] = ()
) -> str:
    """SHA-256 over interventions, in order, and the directions that they use."""
    text = json.dumps([i.to_json() for i in interventions])
    digest = hashlib.sha256(text.encode())
    for number in sorted({i.direction for i in interventions if i.method in DIRECTED}):
        for array in (directions[number].vectors, directions[number].midpoint):
            digest.update(array.astype(np.float32).tobytes())
    return digest.hexdigest()


def _mean(site: Site, how: Intervention, inputs: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415 - torch loads here

    if inputs.reference is None:
        raise ValueError("a mean ablation needs reference means")
    return (edits.mean_ablation(site, inputs.reference, how.positions),)


def _zero(site: Site, how: Intervention, _: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415

    return (edits.zero_ablation(site, how.positions),)


def _resample(site: Site, how: Intervention, _: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415

    return (edits.resample_ablation(site, how.positions),)


def _counterfactual(site: Site, how: Intervention, _: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415

    return (edits.patch_from(site, how.positions),)


def _add(site: Site, how: Intervention, inputs: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415

    directions = inputs.directions[how.direction]
    directions.unit(site.layer)  # it must have a length
    return (edits.add_direction(site, directions.vectors[site.layer], how.dose, how.positions),)


def _project_out(site: Site, how: Intervention, inputs: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415

    unit = inputs.directions[how.direction].unit(site.layer)
    return (edits.project_out(site, unit, how.positions),)


def _rescale(site: Site, how: Intervention, inputs: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415

    unit = inputs.directions[how.direction].unit(site.layer)
    return (edits.rescale(site, unit, 1 + how.dose, how.positions),)


def _recentre(site: Site, how: Intervention, inputs: Inputs) -> "EditSet":
    from harness.interventions import edits  # noqa: PLC0415

    directions = inputs.directions[how.direction]
    unit = directions.unit(site.layer)
    back = float(directions.midpoint[site.layer] @ unit)
    return (
        edits.project_out(site, unit, how.positions),
        edits.add_direction(site, unit, back, how.positions),
    )


# Ablations: the sites no longer say anything about the item.
MEAN = Method("mean", _mean)  # the mean over the tokens of reference prompts
ZERO = Method("zero", _zero)
RESAMPLE = Method("resample", _resample)  # the values of another item
COUNTERFACTUAL = Method("counterfactual", _counterfactual)  # those of the counterfactual prompt
ABLATIONS = (MEAN, ZERO, RESAMPLE, COUNTERFACTUAL)

# Steering: one direction of the residual stream is changed, each layer along its own.
ADD = Method("add", _add)
PROJECT_OUT = Method("project out", _project_out)
RESCALE = Method("rescale", _rescale)
RECENTRE = Method("recentre", _recentre)  # the component becomes that of the tasks' midpoint
DIRECTED = (ADD, PROJECT_OUT, RESCALE, RECENTRE)
DOSED = (ADD, RESCALE)

INTACT = Intervention((), ZERO)  # no site: the run as it is
