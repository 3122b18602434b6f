"""h12: whether the bridge of a two-step question becomes readable before the answer.

Where two steps are composed one after the other, the last token shows the name that the first one
leads to (the bridge) before it shows the answer.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness.findings.processes.hops import (
    HopRule,
    Read,
    in_order,
    measured,
    read_alike,
    relations_gate,
)
from harness.findings.processes.kinds import COMPOSING
from harness.findings.processes.materials import shown_by
from harness.findings.processes.readable import ANSWER, BESIDE, BRIDGE, WORDS, Readings, Stories
from harness.findings.requirements import interval
from harness.findings.twins import TwinResult, missing_twins, twin_controls, worth_controls
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Control, Effect, Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.plots import Plot, PlotPanel, Role, Series

COLOURS: tuple[Role, ...] = ("reasoning", "model", "recall", "random")  # of `WORDS`


def bridge_finding(study: Study, rule: HopRule) -> Finding:
    """Whether the bridge is readable where it is needed alone, and before the answer.

    Args:
        study: The model, on prompts with one question each.
        rule: When words count as readable in an order.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    read = measured(study, rule)
    curves = {word: read.found.curves(word) for word in (BRIDGE, ANSWER)}
    order = in_order(read, "depth of the answer minus depth of the bridge", curves)
    required = (_needed(read), _beyond_beside(read), *order.evidence)
    met = worth_controls(study, required)
    crossed, notes = _in_the_same_words(read) if met else ((), ())
    return Finding(
        (*required, *crossed),
        _twins(read) if met else (),
        read.gates,
        notes=(read.note, *notes, *missing_twins(study, met=met)),
        samples=order.samples,
        plots=(_plot(read, order.evidence[0]),),
        severity=order.severity,
    )


def _needed(read: Read) -> Evidence:
    """The bridge, where the question needs it against where it does not."""
    layer = read.found.best(BRIDGE)
    return _readable(
        read,
        "readability of the bridge where it is needed",
        read.found.of(BRIDGE, EVALUATION)[:, layer],
        "more comparisons won, with names in its place in chains that are not asked about, than in "
        f"the prompt of the same story that asks for a lookup; layer {layer}, selected on "
        "discovery; bootstrap of relations",
        key="needed",
    )


def _beyond_beside(read: Read) -> Evidence:
    """The bridge beyond a name that is told beside the one asked about, and that nothing needs."""
    layer = read.found.best(BRIDGE)
    bridge, beside = (
        read.found.won_where_asked(word, EVALUATION)[:, layer] for word in (BRIDGE, BESIDE)
    )
    return _readable(
        read,
        "comparisons won by the bridge beyond a name that is not needed",
        bridge - beside,
        f"the bridge wins {bridge.mean():.2f}, the other name {beside.mean():.2f}: it is told in "
        "one sentence with the name that a lookup asks about; bootstrap of relations",
        key="beside",
    )


def _readable(
    read: Read, name: str, values: Float[np.ndarray, " story"], method: str, *, key: str
) -> Evidence:
    relation = read.found.relation[read.found.split == EVALUATION]
    within = interval(values, read.study, relation)
    return Evidence(
        name,
        Effect("share of comparisons", float(values.mean()), within, method=method),
        threshold=read.rule.needed,
        relation=">=",
        n=len(read.found.relations),
        key=key,
    )


def _in_the_same_words(read: Read) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """The bridge in prompts that hold both questions: nothing but the label says which is asked."""
    shown = shown_by(read.study, COMPOSING, read.rule.gate)
    if shown.prompts.crossed:
        stories = Stories.answered(shown, shown.prompts, read.stories.difficulty)
        if relations_gate(stories).met:
            there = read_alike(read, stories)
            name = "readability of the bridge in prompts of the same words"
            needed = replace(_needed(there), name=name, key="same_words")
            return (replace(needed, threshold=0.0, relation=">"),), ()
    reason = "the model does not answer both questions in one prompt: its last question differs"
    return (), (f"{reason} between a prompt that needs the bridge and one that does not",)


def _twins(read: Read) -> tuple[Control, ...]:
    results = {}
    for number in range(1, read.study.plan.twins + 1):
        found = Readings.by(read.reader, replace(read.stories, twin=number))
        results[f"twin {number}"] = TwinResult(_needed(replace(read, found=found)).effect.value)
    least = read.rule.needed
    return twin_controls(results, meets=lambda value: value >= least, measured="the bridge")


def _plot(read: Read, order: Evidence) -> Plot:
    found = read.found
    curves = {word: found.curves(word).mean(0) for word in WORDS}
    return Plot(
        form="curve",
        title="words at the last token",
        headline=f"Depths as shares of the layers: {order.effect.method.partition(':')[0]}.",
        caption=(
            "Share of comparisons that a word wins, with words in its place in chains that are not "
            "asked about, where it is needed, less the share where the prompt of the same story "
            "asks something else. 0: the word is not readable. The name beside is never needed."
        ),
        x="layer",
        y="readability",
        panels=(
            PlotPanel(
                "evaluation entities",
                tuple(
                    Series(word, colour, [*range(len(curve))], curve.tolist())
                    for (word, curve), colour in zip(curves.items(), COLOURS, strict=True)
                ),
                lines=(0.0,),
            ),
        ),
        n=len(found.relations),
    )
