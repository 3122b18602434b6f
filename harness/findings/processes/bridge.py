"""h12: whether the bridge of a two-step question becomes readable before the answer.

Where two steps are composed one after the other, the last token shows the name that the first one
leads to (the bridge) before it shows the answer.
"""

from dataclasses import replace

from harness.findings.processes.hops import (
    HopRule,
    Read,
    answer_gate,
    comparisons_won,
    in_order,
    measured,
    relations_gate,
    where_needed,
)
from harness.findings.processes.kinds import COMPOSING
from harness.findings.processes.materials import shown_by
from harness.findings.processes.readable import ANSWER, BESIDE, BRIDGE, WORDS, Readings, Stories
from harness.findings.twins import TwinResult, missing_twins, twin_controls, worth_controls
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Control, Evidence
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
    curves = {word: read.curves(word) for word in (BRIDGE, ANSWER)}
    name = "depth of the answer minus depth of the bridge"
    order = in_order(read, name, curves, read.earliest(BRIDGE).curves(BRIDGE))
    required = (where_needed(read, read.names, BRIDGE), _beyond_beside(read), *order.evidence)
    met = worth_controls(study, required)
    crossed, notes = _in_the_same_words(read) if met else ((), ())
    return Finding(
        (*required, *crossed),
        _twins(read) if met else (),
        (*read.gates, answer_gate(read, ANSWER, ANSWER)),
        notes=(read.note, *notes, *missing_twins(study, met=met)),
        samples=order.samples,
        plots=(_plot(read, order.evidence[0]),),
        severity=order.severity,
    )


def _beyond_beside(read: Read) -> Evidence:
    """The bridge beyond a name that is told beside the one asked about, and that nothing needs."""
    found = read.names
    bridge, beside = (
        found.won_where_asked(word, EVALUATION)[:, found.best(BRIDGE)] for word in (BRIDGE, BESIDE)
    )
    return comparisons_won(
        read,
        found,
        "comparisons won by the bridge beyond a name that is not needed",
        bridge - beside,
        f"the bridge wins {bridge.mean():.2f}, the other name {beside.mean():.2f}: it is told in "
        "one sentence with the name that a lookup asks about; bootstrap of relations",
        key="beside",
    )


def _in_the_same_words(read: Read) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """The bridge in prompts that hold both questions: nothing but the label says which is asked."""
    shown = shown_by(read.study, COMPOSING, read.rule.gate)
    if shown.prompts.crossed:
        stories = Stories.answered(shown, shown.prompts, read.stories.difficulty)
        if relations_gate(stories).met:
            needed = where_needed(read, Readings.by(read.names.reader, stories), BRIDGE)
            name = "readability of the bridge in prompts of the same words"
            needed = replace(needed, name=name, key="same_words")
            return (replace(needed, threshold=0.0, relation=">"),), ()
    reason = "the model does not answer both questions in one prompt: its last question differs"
    return (), (f"{reason} between a prompt that needs the bridge and one that does not",)


def _twins(read: Read) -> tuple[Control, ...]:
    results = {}
    for number in range(1, read.study.plan.twins + 1):
        found = Readings.by(read.names.reader, replace(read.stories, twin=number))
        results[f"twin {number}"] = TwinResult(where_needed(read, found, BRIDGE).effect.value)
    least = read.rule.needed
    return twin_controls(results, meets=lambda value: value >= least, measured="the bridge")


def _plot(read: Read, order: Evidence) -> Plot:
    curves = {word: read.curves(word).mean(0) for word in WORDS}
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
        n=len(read.names.relations),
    )
