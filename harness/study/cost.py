"""What the claims cost: the measurements that each prediction asks for, known before it runs.

This is the one place that knows it. A measurement is a number of prompts and of whole forward
passes for each; an edit of one layer in the middle is half a pass. Predictions that ask for the
same measurement share it, so it is counted once. Everything is taken to be needed that is not known
to be left out: gates are met, twins are measured, heads are ranked once more. What follows on a
result that models seldom show is marked (`LATER`): a forecast expects little of it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from harness.interventions.interventions import ABLATIONS
from harness.materials.cell_sets import relations_asked
from harness.materials.cells import DEMONSTRATED
from harness.models.architecture import Architecture
from harness.study import causality, difficulty
from harness.study.difficulty import CHAINS, CROSSED, ORDER, RIGHT
from harness.study.plan import Plan

PROCESSES = ("retrieval", "composing")
CELLS = len(DEMONSTRATED)  # in which a model must be competent
Kind = Literal["answers", "activations", "sweep", "gradients"]  # each has a speed of its own

# Numbers that claims and findings state, which import this package and so cannot be imported here:
# tests/study/test_cost.py compares each with the place that it is from.
PUBLISHED_PROMPTS = 60
PUBLISHED_SETS = 20  # random sets like what is specialised in a task
FIRST_ITEMS = 30  # of a cell, of which answers are asked first
PATH_STEPS = 5  # on the way to the ablation of all neurons, a forward and a backward pass each
CIRCUIT_DOSES, REFERENCES = 5, 10  # of a circuit; other circuits of each sort
SCREENED = 4  # beside the best head every one is asked on a part of the stories, a part on all
TUNING_STEPS = 20  # at most
PATCHED_PAIRS, PATCHED_PLACES = 20, 3  # of the patching map, and tokens a layer
CHOOSING, JUDGED, LEAST, CONTROL_PAIRS = 8, 50, 20, 8  # stories of steering
DOSES, SCALES = 4, 1  # of a direction, each way; of its rescaling
DIRECTIONS, BAND, BAND_PAIRS = 20, 5, 8  # random ones of each sort; behind the dose curves
STORY = 3  # prompts of a cell in a story
NEUTRAL = 44  # prompts: two other cells and a statement, of the stories that controls take
ALONE = 3.4  # passes of a crossed prompt that shares no beginning with others
TOGETHER = 1.2  # passes of a crossed prompt where both contrasts of its story are extracted
TEXT = 4  # passes of an answer in full: the prompt by itself, then eight tokens one by one
STEPS_TEXT = 25  # the same with written steps, sixty-four tokens
FIRST_TEXTS = 12  # of a cell, with written steps: whether the model writes any
FEW_HEADS, FEW = 5, 1 / 8  # of h13; the largest share of all heads that is few


@dataclass(frozen=True, slots=True)
class Work:
    """Prompts that a model runs.

    Attributes:
        kind: What is measured, which decides on the speed.
        materials: A key of `MATERIALS`.
        prompts: How many.
        passes: Whole forwards of each.
        what: Tells measurements of one kind on the same materials apart.
        later: Whether it comes after `LATER`.
    """

    kind: Kind
    materials: str
    prompts: int
    passes: float = 1
    what: str = ""
    later: bool = False


# What a prediction measures after this needs a result that models seldom show: a circuit is
# compared with others where it serves its process, and texts are edited where steps are written.
LATER = Work("answers", "", 0)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the number of prompts and of edits depends on.

    Attributes:
        kind: Parameters of the prediction beside model and prompts, such as `retrieval head`.
        full: Whether h9 is asked on other stories too (`--full`).
        unmet: Those of `difficulty.GATES` that it is known not to meet.
        process: That it asks for, by its name or parameters.
    """

    items: int
    twins: int
    layers: int
    heads: int
    kind: str = ""
    full: bool = False
    unmet: Collection[str] = ()
    process: str = PROCESSES[0]

    @classmethod
    def of(
        cls, plan: Plan, architecture: Architecture, kind: str = "", unmet: Collection[str] = ()
    ) -> "Sizes":
        """Of a prediction in a run of a model."""
        layers, heads = architecture.layers, architecture.heads
        return cls(plan.items, plan.twins, layers, heads, kind, plan.full, unmet)

    def meets(self, *gates: str) -> bool:
        """Whether none of these gates is known to be unmet."""
        return not any(gate in self.unmet for gate in gates)

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
    return _until_gate(prediction, sizes)[0]


def ends_early(prediction: str, sizes: Sizes) -> bool:
    """Whether a prediction ends at a gate that is known to be unmet."""
    return _until_gate(prediction, sizes)[1]


class _Unmet(Exception):
    """A gate is known to be unmet, so that nothing more is measured; as `Inconclusive`."""


def _require(sizes: Sizes, *gates: str) -> None:
    if not sizes.meets(*gates):
        raise _Unmet


def _until_gate(prediction: str, sizes: Sizes) -> tuple[tuple[Work, ...], bool]:
    """What is measured, and whether a gate ended it."""
    works: list[Work] = []
    later = False
    named = (process for process in PROCESSES if process in f"{prediction} {sizes.kind}")
    sizes = replace(sizes, process=next(named, sizes.process))
    try:
        for work in PREDICTIONS.get(prediction, _unknown)(sizes):
            later |= work is LATER
            works += [] if work is LATER else [replace(work, later=later)]
    except _Unmet:
        return tuple(works), True
    return tuple(works), False


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
    tasks = 1 if "head" in sizes.kind else 2  # most heads are specialised: few others are like it
    yield Work("sweep", "published", PUBLISHED_PROMPTS, tasks * (1 + PUBLISHED_SETS), sizes.kind)


def _difficulty() -> Iterator[Work]:
    """Settings are asked, hardest first, until the model answers one: half of them, say."""
    settings = (1 + len(difficulty.SETTINGS)) / 2
    yield Work("answers", "cells", CELLS * FIRST_ITEMS, settings, "difficulty")


def _answers(sizes: Sizes) -> Iterator[Work]:
    yield from _difficulty()
    yield Work("answers", "plain", 3 * sizes.items)
    yield Work("answers", "crossed", 4 * sizes.items if _crossed(sizes) else 2 * FIRST_ITEMS)


def _crossed(sizes: Sizes) -> bool:
    """Whether crossed prompts are answered, for all that is known: plain ones are easier."""
    return sizes.meets(CROSSED, *DEMONSTRATED)


def _before_label(sizes: Sizes) -> Iterator[Work]:
    prompts = min(2 * causality.MOST, 4 * sizes.items)
    yield Work("activations", "crossed", prompts, ALONE, "label")


def _shuffled(sizes: Sizes) -> Iterator[Work]:
    yield Work("activations", "crossed", 4 * sizes.items)


def _unknown(sizes: Sizes) -> Iterator[Work]:
    yield Work("answers", "crossed", 4 * sizes.items)
    yield from features("crossed", 4 * sizes.items, sizes)


def _nothing(_: Sizes) -> Iterator[Work]:
    return iter(())


_ASKED: tuple[Kind, ...] = ("answers", "activations")
# Of the prompts that contrast a process: cells that must be answered, and how they must be told.
NEEDED = {"retrieval": ("recall", "lookup"), "composing": (ORDER, "lookup", "reasoning")}


def _process(sizes: Sizes, *, again: bool = False) -> Iterator[Work]:
    name = sizes.process
    yield from _difficulty()
    yield Work("answers", "cells-crossed", 2 * FIRST_ITEMS, 1, name)
    _require(sizes, *NEEDED[name])
    plain = 7 * sizes.items // 2  # of one cell half as many can be asked
    shown, own, passes, prompts, second = "cells", "", 1.0, plain, sizes.items
    if _crossed(sizes):
        shown, own, passes = "cells-crossed", "both contrasts", TOGETHER
        prompts, second = 4 * sizes.items, 2 * sizes.items
    yield Work("activations", "cells", plain)
    for kind in _ASKED:
        yield Work(kind, shown, second, 1, f"{name}, second set")
    yield Work("activations", shown, prompts, passes, own)
    if again:
        yield Work("activations", shown, prompts, 1, f"{name}, again")
    if sizes.twins:  # which hardly ever find what they would have to find again
        yield Work("activations", shown, prompts, passes * sizes.twins, f"{own} twins")


def _process_again(sizes: Sizes) -> Iterator[Work]:
    return _process(sizes, again=True)


def _both_processes(sizes: Sizes) -> Iterator[Work]:
    for process in PROCESSES:
        yield from _process(replace(sizes, process=process))


def _process_circuit(sizes: Sizes) -> Iterator[Work]:
    part, of = _part(sizes), f"{sizes.process} {sizes.kind}"
    yield from _found(sizes)
    yield Work("sweep", "cells", part, 1 + len(ABLATIONS), of)  # and all of the kind
    yield LATER
    yield Work("sweep", "cells", _compared(sizes), 1 + 2 * REFERENCES, f"{of} others")


def _part(sizes: Sizes) -> int:
    """Prompts to search on, and to judge on: three cells, half of the relations."""
    return CELLS * sizes.half // 2


def _compared(sizes: Sizes) -> int:
    """Prompts on which other circuits are ablated: a story of each relation that is judged on."""
    return min(CELLS * STORY * relations_asked(sizes.items) // 2, _part(sizes))


def _found(sizes: Sizes) -> Iterator[Work]:
    """A circuit: every component's cost, then doses.

    Heads are ranked once more with the best one ablated, from its layer on.
    """
    part, doses = _part(sizes), CIRCUIT_DOSES + 1  # and all of the kind
    yield from _searched(sizes)
    if "head" in sizes.kind:
        again = 2 * sizes.head_by_head / SCREENED + doses
        yield Work("sweep", "cells", part, again, f"{sizes.process} head search once more")
    yield Work("sweep", "cells", part, doses, f"{sizes.process} {sizes.kind} doses")


def _searched(sizes: Sizes) -> Iterator[Work]:
    """What every component costs, where the model answers; no circuit is chosen."""
    yield from _difficulty()
    if sizes.process == "composing":
        _require(sizes, ORDER)
    yield Work("answers", "plain", 2 * _part(sizes))
    _require(sizes, *DEMONSTRATED, RIGHT)
    yield from _search(sizes)


def _search(sizes: Sizes, stories: str = "") -> Iterator[Work]:
    """What every component costs, heads one by one and neurons by gradients."""
    part = _part(sizes)
    yield Work("activations", "cells", part, 1, f"means{stories}")
    if "head" in sizes.kind:
        yield Work("sweep", "cells", part, sizes.head_by_head, f"head search{stories}")
    else:
        yield Work("gradients", "cells", part, PATH_STEPS, f"neuron search{stories}")


def _transfer(sizes: Sizes) -> Iterator[Work]:
    of = f"{sizes.process} {sizes.kind} patched"
    yield from _found(sizes)
    yield Work("answers", "cells-crossed", 4 * sizes.items, 1, sizes.process)
    yield Work("sweep", "cells-crossed", sizes.half, 2, of)
    yield LATER
    yield Work("sweep", "cells-crossed", sizes.half, 4, f"{of}, the other way, another name")
    yield Work("sweep", "cells-crossed", _compared(sizes), 2 + 2 * REFERENCES, f"{of}, others")


def _tuning(sizes: Sizes) -> Iterator[Work]:
    """Half of the steps are taken, say; other circuits and all parameters are tuned by as many.

    A step takes the prompts together, forwards and backwards: as three passes of answers.
    """
    of, unlearnt = f"{sizes.process} {sizes.kind} tuned", _compared(sizes) // CELLS
    yield from _found(sizes)
    for arms, what in ((1, of), (2 + 2 * REFERENCES, f"{of}, others")):
        yield Work("answers", "cells", unlearnt, 3 * arms * TUNING_STEPS / 2, what)
        yield Work("answers", "cells", _compared(sizes), arms, f"judged, {what}")
        yield LATER


def _two_circuits(sizes: Sizes) -> Iterator[Work]:
    for process in reversed(PROCESSES):  # composing has the gate that is known first
        yield from _found(replace(sizes, process=process))
    sets = 3 * (1 + 2 * REFERENCES)  # either circuit of a pair, and both
    yield Work("sweep", "cells", _part(sizes), 3, f"both {sizes.kind}")
    # Not `LATER`: that each circuit costs its own process more follows from how it was found.
    yield Work("sweep", "cells", _compared(sizes), sets, f"both {sizes.kind} others")


def _few_heads(sizes: Sizes) -> Iterator[Work]:
    sizes, name = replace(sizes, kind="head"), sizes.process
    if FEW * sizes.layers * sizes.heads < FEW_HEADS:
        raise _Unmet
    yield from _found(sizes)
    yield Work("sweep", "cells", _part(sizes), 1 + len(ABLATIONS) + 1, f"{name} few heads")
    yield LATER
    yield Work("sweep", "cells", _compared(sizes), 1 + 2 * REFERENCES, f"{name} few others")


def _written_steps(sizes: Sizes) -> Iterator[Work]:
    yield from _first_texts(sizes)
    yield from _found(sizes)
    yield Work("sweep", "cells", _part(sizes), 2, f"{sizes.kind} steps, short answers")
    yield from _texts(sizes, sizes.kind)


def _written_direction(sizes: Sizes) -> Iterator[Work]:
    yield from _first_texts(sizes)
    yield Work("activations", "cells-crossed", 4 * sizes.items, TOGETHER, "both contrasts")
    yield Work("sweep", "cells", 2 * _part(sizes), sizes.layers + 1, "direction, short answers")
    yield from _texts(sizes, "direction")


def _first_texts(sizes: Sizes) -> Iterator[Work]:
    yield from _difficulty()
    _require(sizes, ORDER)
    yield Work("answers", "plain", 2 * _part(sizes))
    _require(sizes, *DEMONSTRATED, RIGHT)
    yield Work("answers", "cells", 2 * FIRST_TEXTS, STEPS_TEXT, "first steps")
    yield LATER


def _texts(sizes: Sizes, what: str) -> Iterator[Work]:
    texts = 2 * sizes.half // 2  # of two cells, half of the relations
    yield Work("answers", "cells", max(texts - 2 * FIRST_TEXTS, 0), STEPS_TEXT, "steps")
    yield Work("answers", "cells", texts, STEPS_TEXT, f"{what} steps")
    others = 2 * REFERENCES * STEPS_TEXT
    yield Work("answers", "cells", _compared(sizes) // CELLS, others, f"{what} steps, others")


def _generality(sizes: Sizes) -> Iterator[Work]:
    """What every component costs, under `--full` once more on each sort of other stories."""
    yield from _searched(sizes)
    others = ("drawn again",) if sizes.process == "retrieval" else ("drawn again", "one more step")
    for stories in others if sizes.full else ():
        yield Work("answers", "cells", CELLS * FIRST_ITEMS, 1, stories)
        yield from _search(sizes, f", {stories}")


def _words(sizes: Sizes) -> Iterator[Work]:
    yield from _difficulty()
    _require(sizes, CHAINS, *NEEDED["composing"])
    yield Work("answers", "plain", 2 * sizes.items)
    yield Work("activations", "cells", 2 * sizes.items, 1, "words")


def _bridge(sizes: Sizes) -> Iterator[Work]:
    yield from _words(sizes)
    yield Work("answers", "cells-crossed", 4 * sizes.items, 1, "composing")
    yield Work("activations", "cells-crossed", 4 * sizes.items, TOGETHER, "both contrasts")
    if sizes.twins:
        yield Work("activations", "cells", 2 * sizes.items, sizes.twins, "words, twins")


def _steps(sizes: Sizes) -> Iterator[Work]:
    yield from _words(sizes)
    yield Work("answers", "cells", 2 * sizes.half, 1, "one step more")
    yield Work("activations", "cells", 2 * sizes.half, 1, "one step more")


def _process_depth(sizes: Sizes) -> Iterator[Work]:
    for kind in _CIRCUITS:
        for process in reversed(PROCESSES):
            yield from _found(replace(sizes, kind=kind, process=process))
    yield Work("sweep", "cells", _part(sizes), len(PROCESSES) * sizes.layer_by_layer, "depth")
    patched = 2 * min(STORY * PATCHED_PAIRS, sizes.half)
    yield Work("sweep", "cells", patched, PATCHED_PLACES * (1 + sizes.layer_by_layer), "patching")


def _separates(sizes: Sizes) -> Iterator[Work]:
    _require(sizes, CROSSED, *DEMONSTRATED)
    yield from features("crossed", 4 * sizes.items, sizes)


def _fitted(sizes: Sizes) -> Iterator[Work]:
    yield from _difficulty()
    _require(sizes, ORDER)
    yield Work("answers", "plain", 3 * sizes.items)
    _require(sizes, *NEEDED["composing"])
    yield Work("answers", "crossed", 2 * FIRST_ITEMS, 1, "first")
    yield Work("activations", "crossed", 4 * sizes.items)
    yield Work("sweep", "crossed", 2 * LEAST, 1, "manipulation")


def _judged(sizes: Sizes) -> int:
    """Prompts of a cell that steering is judged on."""
    return min(sizes.half, STORY * JUDGED)


def _side_effects(sizes: Sizes, ways: int, what: str) -> Iterator[Work]:
    """Cost on neutral prompts, other cells, and text: a prompt by itself, then its tokens."""
    judged = _judged(sizes)
    yield Work("sweep", "plain", NEUTRAL + 3 * judged // 2 * ways, 1, f"{what}, beside")
    yield Work("answers", "plain", 2 * judged, TEXT * (1 + ways), f"{what}, texts")


def _added(sizes: Sizes) -> Iterator[Work]:
    yield from _fitted(sizes)
    few, doses = 2 * STORY * CONTROL_PAIRS, 2 * DOSES  # of both tasks; at a layer, and at all
    chosen = 2 * STORY * CHOOSING
    yield Work("sweep", "plain", chosen, 2 * (sizes.layer_by_layer + doses), "added, layers")
    yield Work("sweep", "plain", NEUTRAL, 2 * doses, "added, cost")
    yield LATER
    yield Work("sweep", "plain", 2 * _judged(sizes), 3 + 2 * SCALES, "added")
    yield Work("sweep", "plain", few, 2 + 3 * DIRECTIONS, "added, random")
    yield Work("sweep", "plain", few, doses, "added, doses")
    yield Work("sweep", "plain", 2 * STORY * BAND_PAIRS, DOSES * BAND, "added, band")
    yield from _side_effects(sizes, 2, "added")


def _projected(sizes: Sizes) -> Iterator[Work]:
    yield from _fitted(sizes)
    chosen, every = 2 * STORY * CHOOSING, sizes.layer_by_layer + 1
    yield Work("sweep", "plain", chosen, every, "projected, layers")
    yield LATER
    yield Work("sweep", "plain", 2 * _judged(sizes), 1 + every + 2, "projected")
    yield Work("sweep", "plain", STORY * CONTROL_PAIRS, 1 + DIRECTIONS, "projected, random")
    yield from _side_effects(sizes, 1, "projected")


def _corrected(sizes: Sizes) -> Iterator[Work]:
    yield from _fitted(sizes)
    doses = 2 * DOSES
    yield Work("answers", "plain", sizes.items, 1, "harder")
    yield Work("sweep", "plain", STORY * CHOOSING, sizes.layer_by_layer + doses, "wrong, layers")
    yield Work("sweep", "plain", NEUTRAL, doses + 1, "wrong, cost")
    yield LATER
    yield Work("sweep", "plain", _judged(sizes), 1 + 2 * DIRECTIONS, "wrong")
    yield Work("sweep", "plain", _judged(sizes), 1, "right")


Planned = Callable[[Sizes], Iterator[Work]]

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
        f"test_some_{kind}_serve_{process}": _process
        for kind in ("layers", "heads", "neurons")
        for process in PROCESSES
    },
    **{
        f"test_retrieval_and_composing_use_different_{kind}": _both_processes
        for kind in ("layers", "heads", "neurons")
    },
    "test_types_hold_over_training_folds": _published,
    "test_components_hold_in_relations_left_out": _process,
    "test_the_same_components_are_found_with_other_entities": _process_again,
    "test_a_circuit_of_retrieval_serves_other_relations": _process_circuit,
    "test_a_circuit_of_composing_serves_other_relations": _process_circuit,
    "test_zeroing_specialised_components_costs_their_task_alone": _published_drop,
    "test_recall_layers_lie_before_reasoning_layers": _published,
    "test_retrieval_is_caused_at_less_depth_than_composing": _process_depth,
    "test_direction_separates_as_published": _published,
    "test_a_direction_of_retrieval_separates_other_relations": _process,
    "test_a_direction_of_composing_separates_other_relations": _process,
    "test_direction_separates_held_out_prompts": _separates,
    "test_steering_towards_reasoning_moves_the_tasks_apart": _added,
    "test_projecting_the_direction_out_costs_its_task": _projected,
    "test_steering_activates_the_capability": _corrected,
    "test_each_circuit_serves_its_own_process_more": _two_circuits,
    "test_the_circuits_interact": _two_circuits,
    "test_relations_agree_on_what_serves_retrieval": _generality,
    "test_relations_agree_on_what_serves_composing": _generality,
    "test_patching_the_retrieval_circuit_lifts_its_answer": _transfer,
    "test_patching_the_composing_circuit_lifts_its_answer": _transfer,
    "test_the_composing_circuit_acts_while_steps_are_written": _written_steps,
    "test_the_composing_direction_acts_while_steps_are_written": _written_direction,
    "test_tuning_the_retrieval_circuit_unlearns_recall_alone": _tuning,
    "test_tuning_the_composing_circuit_unlearns_reasoning_alone": _tuning,
    "test_the_bridge_is_readable_before_the_answer": _bridge,
    "test_each_further_step_is_readable_later": _steps,
    "test_five_heads_carry_retrieval": _few_heads,
    "test_five_heads_carry_composing": _few_heads,
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
    "test_patching_the_retrieval_circuit_lifts_its_answer": _CIRCUITS,
    "test_patching_the_composing_circuit_lifts_its_answer": _CIRCUITS,
    "test_the_composing_circuit_acts_while_steps_are_written": _CIRCUITS,
    "test_tuning_the_retrieval_circuit_unlearns_recall_alone": _CIRCUITS,
    "test_tuning_the_composing_circuit_unlearns_reasoning_alone": _CIRCUITS,
    "test_relations_agree_on_what_serves_retrieval": _CIRCUITS,
    "test_relations_agree_on_what_serves_composing": _CIRCUITS,
}
