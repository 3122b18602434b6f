"""What the claims cost: the measurements that each prediction asks for, known before it runs.

This is the one place that knows it. A measurement is a number of prompts and of whole forward
passes for each; an edit of one layer in the middle is half a pass. Predictions that ask for the
same measurement share it, so it is counted once. All gates are taken to be met: a model that does
not answer the questions costs less.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from harness.models.architecture import Architecture
from harness.study.plan import Plan

PROCESSES = ("retrieval", "composing")
Kind = Literal["answers", "activations", "sweep", "gradients"]  # each has a speed of its own

PUBLISHED_PROMPTS = 60
STEERING = 24  # prompts of a cell, in eight stories: of the choice of layer and dose, and of draws
CHECKED = 320  # prompts, of which h0 compares the tokens before the label
STEPS = 5  # on the way to the ablation of all neurons, a forward and a backward pass each
WRITTEN = 8  # tokens of an answer in full
# Edit sets that h5, h7 and h8 run on the same prompts.
DOSES, OWN, OTHER_SETS = 6, 5, 21  # of a circuit; the other ones run on a story of each relation
PAIR_SETS, OTHER_PAIR_SETS = 3, 63
COMPARED = 72  # prompts: three cells of eight relations, three chains in a story
PATCHED, PATCHED_PLACES = 40, 3  # prompts of the patching map, and tokens a layer
STEERING_DOSES, RESCALED, STEERING_SETS, BAND = 8, 5, 40, 20


@dataclass(frozen=True, slots=True)
class Work:
    """Prompts that a model runs.

    Attributes:
        kind: What is measured, which decides on the speed.
        materials: A key of `MATERIALS`.
        prompts: How many.
        passes: Whole forwards of each.
        what: Tells measurements of one kind on the same materials apart.
    """

    kind: Kind
    materials: str
    prompts: int
    passes: float = 1
    what: str = ""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the number of prompts and of edits depends on.

    Attributes:
        kind: Parameters of the prediction beside model and prompts, such as `retrieval head`.
    """

    items: int
    twins: int
    layers: int
    heads: int
    kind: str = ""

    @classmethod
    def of(cls, plan: Plan, architecture: Architecture, kind: str = "") -> "Sizes":
        """Of a prediction in a run of a model."""
        return cls(plan.items, plan.twins, architecture.layers, architecture.heads, kind)

    @property
    def half(self) -> int:
        """Items of a task in one split."""
        return -(-self.items // 2)

    @property
    def layer_by_layer(self) -> float:
        """Passes of editing each layer alone: those after it run."""
        return (self.layers + 1) / 2

    @property
    def head_by_head(self) -> float:
        """Passes of editing each head alone."""
        return self.heads * self.layer_by_layer


def works_of(prediction: str, sizes: Sizes) -> tuple[Work, ...]:
    """The measurements of a prediction of the claims that ship.

    Args:
        prediction: The name of its test function.
        sizes: Of the run.

    A prediction that does not ship is taken to ask for answers and activations of its prompts.
    """
    return tuple(PREDICTIONS.get(prediction, _unknown)(sizes))


def features(materials: str, prompts: int, sizes: Sizes) -> Iterator[Work]:
    """Activations of the model and of its twins."""
    yield Work("activations", materials, prompts)
    if sizes.twins:
        yield Work("activations", materials, prompts, sizes.twins, "twins")


def _published(sizes: Sizes) -> Iterator[Work]:
    yield from features("published", PUBLISHED_PROMPTS, sizes)


def _published_drop(sizes: Sizes) -> Iterator[Work]:
    yield from _published(sizes)
    yield Work("answers", "published", PUBLISHED_PROMPTS)
    sets = 20 if "head" in sizes.kind else 42
    yield Work("sweep", "published", PUBLISHED_PROMPTS, sets, sizes.kind)


def _answers(sizes: Sizes) -> Iterator[Work]:
    yield Work("answers", "plain", 3 * sizes.items)
    yield Work("answers", "crossed", 4 * sizes.items)


def _before_label(sizes: Sizes) -> Iterator[Work]:
    yield Work("activations", "crossed", min(CHECKED, 4 * sizes.items), 1, "label")


def _shuffled(sizes: Sizes) -> Iterator[Work]:
    yield Work("activations", "crossed", 4 * sizes.items)


def _unknown(sizes: Sizes) -> Iterator[Work]:
    yield Work("answers", "crossed", 4 * sizes.items)
    yield from features("crossed", 4 * sizes.items, sizes)


def _nothing(_: Sizes) -> Iterator[Work]:
    return iter(())


def _of_process(name: str, again: bool = False) -> "Planned":
    def works(sizes: Sizes) -> Iterator[Work]:
        yield Work("answers", "cells", 270, 1, "difficulty")
        yield Work("answers", "cells-crossed", 60, 1, name)
        yield Work("activations", "cells", 4 * sizes.items)
        for draw in (name, f"{name}, again") if again else (name,):
            yield Work("activations", "cells-crossed", 4 * sizes.items, 1, draw)
            if sizes.twins:
                prompts = 4 * sizes.items
                yield Work("activations", "cells-crossed", prompts, sizes.twins, f"{draw}, twins")

    return works


def _both_processes(sizes: Sizes) -> Iterator[Work]:
    yield from _of_process("retrieval")(sizes)
    yield from _of_process("composing")(sizes)


def _process_of(*, again: bool) -> "Planned":
    """The process that the parameters name."""

    def works(sizes: Sizes) -> Iterator[Work]:
        name = "composing" if "composing" in sizes.kind else "retrieval"
        yield from _of_process(name, again)(sizes)

    return works


def _process_circuit(name: str) -> "Planned":
    def works(sizes: Sizes) -> Iterator[Work]:
        part = _part(sizes)
        yield from _found(name, sizes)
        yield Work("sweep", "cells", part, OWN, f"{name} {sizes.kind}")
        yield Work("sweep", "cells", min(COMPARED, part), OTHER_SETS, f"{name} {sizes.kind} others")

    return works


def _part(sizes: Sizes) -> int:
    """Prompts to search on, and to judge on: three cells, half of the relations."""
    return 3 * sizes.half // 2


def _found(name: str, sizes: Sizes) -> Iterator[Work]:
    """A circuit: every component's cost (heads one by one, neurons by gradients), then doses."""
    part = _part(sizes)
    yield Work("answers", "cells", 2 * part, 1, "circuits")
    if "head" in sizes.kind:
        yield Work("sweep", "cells", part, sizes.head_by_head, "head search")
    else:
        yield Work("gradients", "cells", part, STEPS, "neuron search")
    yield Work("sweep", "cells", part, DOSES, f"{name} {sizes.kind} doses")


def _two_circuits(sizes: Sizes) -> Iterator[Work]:
    part = _part(sizes)
    for name in PROCESSES:
        yield from _found(name, sizes)
    yield Work("sweep", "cells", part, PAIR_SETS, f"both {sizes.kind}")
    yield Work("sweep", "cells", min(COMPARED, part), OTHER_PAIR_SETS, f"both {sizes.kind} others")


def _process_depth(sizes: Sizes) -> Iterator[Work]:
    for kind in _CIRCUITS:
        for name in PROCESSES:
            yield from _found(name, replace(sizes, kind=kind))
    yield Work("sweep", "cells", _part(sizes), len(PROCESSES) * sizes.layer_by_layer, "depth")
    yield Work("sweep", "cells", PATCHED, PATCHED_PLACES * sizes.layer_by_layer, "patching")


def _separates(sizes: Sizes) -> Iterator[Work]:
    yield from features("crossed", 4 * sizes.items, sizes)


def _fitted(sizes: Sizes) -> Iterator[Work]:
    yield Work("answers", "plain", 3 * sizes.items)
    yield Work("activations", "crossed", 4 * sizes.items)


def _added(sizes: Sizes) -> Iterator[Work]:
    yield from _fitted(sizes)
    few, judged = 2 * STEERING, 2 * sizes.half
    yield Work("sweep", "plain", few, 2 * (sizes.layer_by_layer + STEERING_DOSES), "layers")
    yield Work("sweep", "plain", few, 2 * STEERING_DOSES, "cost")
    yield Work("sweep", "plain", judged, 2 + RESCALED, "added")
    yield Work("sweep", "plain", few, 3 * STEERING_SETS // 2 + STEERING_DOSES, "added random")
    yield Work("sweep", "plain", few // 2, BAND, "band")
    yield Work("answers", "plain", judged, 3 * WRITTEN, "added texts")


def _projected(sizes: Sizes) -> Iterator[Work]:
    yield from _fitted(sizes)
    few, judged = 2 * STEERING, 2 * sizes.half
    yield Work("sweep", "plain", few + judged, sizes.layer_by_layer + 2, "projected")
    yield Work("sweep", "plain", few // 2, STEERING_SETS // 2, "projected random")
    yield Work("answers", "plain", judged, 2 * WRITTEN, "projected texts")


def _corrected(sizes: Sizes) -> Iterator[Work]:
    yield from _fitted(sizes)
    few, judged = STEERING, sizes.half
    yield Work("answers", "plain", sizes.items, 1, "harder")
    yield Work("sweep", "plain", few, sizes.layer_by_layer + 2 * STEERING_DOSES, "wrong layers")
    yield Work("sweep", "plain", judged, 1 + STEERING_SETS, "wrong")


Planned = Callable[[Sizes], Iterator[Work]]
_RETRIEVAL, _COMPOSING = _of_process("retrieval"), _of_process("composing")

PREDICTIONS: Mapping[str, Planned] = {
    "test_hooks_leave_the_model_as_it_is": _nothing,
    "test_padding_does_not_matter": _nothing,
    "test_every_site_reaches_the_logits": _nothing,
    "test_the_model_answers": _answers,
    "test_materials_are_balanced": _nothing,
    "test_nothing_differs_before_the_label": _before_label,
    "test_shuffled_labels_give_uniform_p": _shuffled,
    "test_layers_differ_as_published": _published,
    "test_heads_differ_as_published": _published,
    "test_neurons_differ_as_published": _published,
    **{
        f"test_some_{kind}_serve_{process}": works
        for kind in ("layers", "heads", "neurons")
        for process, works in zip(PROCESSES, (_RETRIEVAL, _COMPOSING), strict=True)
    },
    **{
        f"test_retrieval_and_composing_use_different_{kind}": _both_processes
        for kind in ("layers", "heads", "neurons")
    },
    "test_types_hold_over_training_folds": _published,
    "test_components_hold_in_relations_left_out": _process_of(again=False),
    "test_the_same_components_are_found_with_other_entities": _process_of(again=True),
    "test_a_circuit_of_retrieval_serves_other_relations": _process_circuit("retrieval"),
    "test_a_circuit_of_composing_serves_other_relations": _process_circuit("composing"),
    "test_zeroing_specialised_components_costs_their_task_alone": _published_drop,
    "test_recall_layers_lie_before_reasoning_layers": _published,
    "test_retrieval_is_caused_at_less_depth_than_composing": _process_depth,
    "test_direction_separates_as_published": _published,
    "test_a_direction_of_retrieval_separates_other_relations": _RETRIEVAL,
    "test_a_direction_of_composing_separates_other_relations": _COMPOSING,
    "test_direction_separates_held_out_prompts": _separates,
    "test_steering_towards_reasoning_moves_the_tasks_apart": _added,
    "test_projecting_the_direction_out_costs_its_task": _projected,
    "test_steering_activates_the_capability": _corrected,
    "test_each_circuit_serves_its_own_process_more": _two_circuits,
    "test_the_circuits_interact": _two_circuits,
}

_CIRCUITS = ("head", "neuron")
_COMPONENTS = ("layer", *_CIRCUITS)
_OF_PROCESSES = tuple(f"{process}-{kind}" for process in PROCESSES for kind in _COMPONENTS)

# Parameters of predictions that are tests of several kinds of component.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "test_types_hold_over_training_folds": _COMPONENTS,
    "test_components_hold_in_relations_left_out": _OF_PROCESSES,
    "test_the_same_components_are_found_with_other_entities": _OF_PROCESSES,
    "test_a_circuit_of_retrieval_serves_other_relations": _CIRCUITS,
    "test_a_circuit_of_composing_serves_other_relations": _CIRCUITS,
    "test_zeroing_specialised_components_costs_their_task_alone": _CIRCUITS,
    "test_each_circuit_serves_its_own_process_more": _CIRCUITS,
    "test_the_circuits_interact": _CIRCUITS,
}
