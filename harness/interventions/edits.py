"""Edits of a running model as values: a function at a site and at some positions.

Pure torch. `adapter.sweep` applies them; here is what they do. A function receives the site's
values [row pos ...] and those that the edit's `source` has there, and returns values of the same
shape. It must treat every position on its own, because the engine passes only the positions that
can still matter, and every row in the same way, because prompts with the same beginning may share a
row. What it returns outside the edit's positions is ignored.

Site        values given to the function (the tensor's place in the model)
resid       [row pos d_model], after layer l; layer -1 is the embedding, before layer 0
attn, mlp   [row pos d_model], what the residual receives (after a post-norm, if there is one)
head        [row pos d_head], a head's z: its slice of the input of the output projection
neuron      [row pos neuron], inputs of the down-projection: those of the index, or all
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.interventions.sites import NAMED_POSITIONS, EditError, Positions, Site, Source

_Values = Float[Tensor, "row pos *axes"]


# Of the site's values, and of those in the edit's `source`, aligned with them; None without one.
Function = Callable[[_Values, _Values | None], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A function at a site and positions.

    Attributes:
        site: Where.
        function: What; see the module's docstring.
        positions: Which tokens.
        name: For messages and tables.
        source: The forward that the function's other values come from.
        may_be_idle: Whether an edit may leave all values as they are. If not, it is an error to
            change nothing on any prompt although the values there are not zero.
    """

    site: Site
    function: Function
    positions: Positions = "all"
    name: str = "edit"
    source: Source | None = None
    may_be_idle: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.positions, str) and self.positions not in NAMED_POSITIONS:
            raise EditError(
                f"{self}: got positions {self.positions!r}, expected one of "
                f"{', '.join(NAMED_POSITIONS)}, or token numbers."
            )

    def __str__(self) -> str:
        return f"{self.name} of {self.site}"


EditSet = tuple[Edit, ...]  # applied together, in one run of each prompt


@dataclass(frozen=True, slots=True)
class Reference:
    """Mean activations over all real tokens of some prompts, each token counting once; float32.

    Attributes:
        resid: After each layer, the embedding first.
        z: Each head's input of the output projection.
        attn_out: What the residual receives from attention.
        neurons: The input of the down-projection.
        mlp_out: What the residual receives from the MLP.
    """

    resid: Float[Tensor, "layer_and_embedding d_model"]
    z: Float[Tensor, "layer head d_head"]
    attn_out: Float[Tensor, "layer d_model"]
    neurons: Float[Tensor, "layer neuron"]
    mlp_out: Float[Tensor, "layer d_model"]

    def at(self, site: Site) -> Float[Tensor, " values"]:
        """The mean at a site.

        Raises:
            EditError: If it lies outside the model.
        """
        try:
            return self._at(site)
        except IndexError:
            layers, heads, _ = self.z.shape
            raise EditError(
                f"there is no site {site}: the model has {layers} layers of {heads} heads and "
                f"{self.neurons.shape[1]} neurons."
            ) from None

    def _at(self, site: Site) -> Tensor:
        match site.kind:
            case "resid":
                return self.resid[site.layer + 1]
            case "attn":
                return self.attn_out[site.layer]
            case "mlp":
                return self.mlp_out[site.layer]
            case "head":
                return self.z[site.layer, site.index]
            case "neuron":
                mean = self.neurons[site.layer]
                return mean if site.index is None else mean[list(_numbers(site))]


def zero_ablation(site: Site, positions: Positions = "all") -> Edit:
    """Values become 0: what the component adds is gone, its biases after the site stay."""
    return Edit(site, lambda values, _: torch.zeros_like(values), positions, "zero ablation")


def mean_ablation(site: Site, reference: Reference, positions: Positions = "all") -> Edit:
    """Values become their mean over the reference's tokens (`Model.references`)."""
    mean = reference.at(site)

    def function(values: Tensor, _: Tensor | None) -> Tensor:
        return mean.to(values).expand_as(values)

    return Edit(site, function, positions, "mean ablation", may_be_idle=True)


def resample_ablation(site: Site, positions: Positions = "all") -> Edit:
    """Values become those of another item at the same position counted from the right.

    The donors are passed to `sweep(donors=...)`. Where the donor is shorter, the values stay.
    """
    return Edit(site, _other, positions, "resample ablation", Source.DONOR, may_be_idle=True)


def patch_from(site: Site, positions: Positions = "all") -> Edit:
    """Values become those of the item's counterfactual prompt, position by position.

    An item is not measured if it has no counterfactual prompt, or one of another length in tokens.
    """
    return Edit(
        site,
        _other,
        positions,
        "patch from counterfactual",
        Source.COUNTERFACTUAL,
        may_be_idle=True,
    )


def add_direction(
    site: Site, direction: Tensor | np.ndarray, scale: float = 1.0, positions: Positions = "all"
) -> Edit:
    """Values plus `scale` times the direction, in the site's units; the length is the caller's."""
    step = torch.as_tensor(direction).detach().clone().float() * scale

    def function(values: Tensor, _: Tensor | None) -> Tensor:
        return values + step.to(values)

    idle = bool((step == 0).all())
    return Edit(site, function, positions, f"add {scale:g} direction", may_be_idle=idle)


def rescale(
    site: Site, direction: Tensor | np.ndarray, factor: float, positions: Positions = "all"
) -> Edit:
    """The component along the direction times `factor`; 1 changes nothing, 0 projects it out."""
    unit = torch.as_tensor(direction).detach().clone().float()
    length = unit.norm()
    if not bool(torch.isfinite(length)) or float(length) == 0:
        raise EditError(f"rescale of {site}: the direction's length is {float(length)}.")
    unit = unit / length

    def function(values: Tensor, _: Tensor | None) -> Tensor:
        along = unit.to(values)
        component: Tensor = (values @ along)[..., None]
        changed: Tensor = values + (factor - 1) * component * along
        return changed

    return Edit(site, function, positions, f"rescale by {factor:g}", may_be_idle=True)


def project_out(site: Site, direction: Tensor | np.ndarray, positions: Positions = "all") -> Edit:
    """Values without their component along the direction."""
    edit = rescale(site, direction, 0.0, positions)
    return Edit(site, edit.function, positions, "project out", may_be_idle=True)


def _other(_: Tensor, other: Tensor | None) -> Tensor:
    assert other is not None
    return other


def _numbers(site: Site) -> tuple[int, ...]:
    assert isinstance(site.index, tuple)
    return site.index
