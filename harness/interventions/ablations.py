"""What a causal claim takes away, and how, as plain values that a result is stored by."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.interventions.sites import Positions, Run, Site
from harness.materials.items import Item, MaterialsError

if TYPE_CHECKING:
    from harness.interventions.edits import Edit, Reference

Method = Literal["mean", "zero", "resample", "counterfactual"]
METHODS: tuple[Method, ...] = ("mean", "zero", "resample", "counterfactual")


@dataclass(frozen=True, slots=True)
class Ablation:
    """Sites made to say nothing about the item, all in one run.

    Attributes:
        sites: Where. Neurons of one layer belong into one site: see `joined`.
        method: `mean` over the reference prompts' tokens, `zero`, `resample` (another item's
            values), or `counterfactual` (those of the item's counterfactual prompt).
        positions: Which tokens.
    """

    sites: tuple[Site, ...]
    method: Method = "mean"
    positions: Positions = "all"

    def edits(self, reference: "Reference | None") -> "tuple[Edit, ...]":
        """As the engine takes them; `reference` is needed for `mean`."""
        from harness.interventions import edits  # noqa: PLC0415 - torch loads here

        made = []
        for site in self.sites:
            match self.method:
                case "mean":
                    if reference is None:
                        raise ValueError("a mean ablation needs reference means")
                    made.append(edits.mean_ablation(site, reference, self.positions))
                case "zero":
                    made.append(edits.zero_ablation(site, self.positions))
                case "resample":
                    made.append(edits.resample_ablation(site, positions=self.positions))
                case "counterfactual":
                    made.append(edits.patch_from(site, Run.COUNTERFACTUAL, self.positions))
        return tuple(made)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sites": [(s.kind, s.layer, s.index) for s in self.sites],
            "method": self.method,
            "positions": self.positions,
        }


def identity(ablations: Sequence[Ablation]) -> str:
    """SHA-256 over a list of ablations, in order."""
    text = json.dumps([a.to_json() for a in ablations])
    return hashlib.sha256(text.encode()).hexdigest()


def joined(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The same components in layer order, each layer's neurons as one site."""
    neurons: dict[int, list[int]] = {}
    others = []
    for site in sites:
        if site.kind == "neuron" and isinstance(site.index, tuple):
            neurons.setdefault(site.layer, []).extend(site.index)
        else:
            others.append(site)
    made = [Site("neuron", layer, tuple(sorted(set(i)))) for layer, i in neurons.items()]
    order = {"attn": 0, "head": 1, "mlp": 2, "neuron": 3}
    return tuple(
        sorted(
            [*others, *made],
            key=lambda s: (
                s.layer,
                order.get(s.kind, 4),
                s.index if isinstance(s.index, int) else 0,
            ),
        )
    )


def have_donors(items: Sequence[Item]) -> bool:
    """Whether `donors_of` finds one for every item: no task has the same answer throughout."""
    answers: dict[str, set[str]] = {}
    for item in items:
        answers.setdefault(item.task, set()).add(item.answer)
    return all(len(of_task) > 1 for of_task in answers.values())


def donors_of(items: Sequence[Item]) -> tuple[Item, ...]:
    """For each item the next one of its task that has another answer, the last wrapping round.

    Raises:
        MaterialsError: If an item has none.
    """
    by_task: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        by_task.setdefault(item.task, []).append(place)
    donors = []
    for place, item in enumerate(items):
        alike = by_task[item.task]
        start = alike.index(place)
        after = alike[start + 1 :] + alike[:start]
        other = next((i for i in after if items[i].answer != item.answer), None)
        if other is None:
            raise MaterialsError(
                f"item {item.id!r} has no other item of task {item.task!r} with another answer to "
                "take values from: use more items, or another ablation."
            )
        donors.append(items[other])
    return tuple(donors)
