"""Components of a process in a second set, where what else differs in the first is the same.

What is recalled is known and what is looked up is invented: the set `neutral` looks up something
new of known entities. And steps composed in the text may be no steps of reasoning but of reading:
latent questions take two steps from the weights. A component that serves the process has the same
sign there.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from harness import stats
from harness.findings.gates import competence_gates
from harness.findings.processes.contrasts import Questions, relation_contrasts, relations_with
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.measured import Measured
from harness.findings.specialisation.cells import controlled_cells
from harness.materials.cell_sets import CellSet, draw_cells, whole_cells
from harness.materials.known_stories import NEUTRAL
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence

LEAST_RELATIONS = 3  # to leave one out and still have a mean


@dataclass(frozen=True, slots=True)
class Second:
    """A second set, and the cells with and without the process there."""

    kind: str
    tasks: tuple[str, str]
    cells: tuple[str, str]
    words: str


SECOND = {
    RETRIEVAL.name: Second(NEUTRAL, RETRIEVAL.cells, RETRIEVAL.cells, "where every name is known"),
    COMPOSING.name: Second("cells", ("recall", "latent"), ("latent", "recall"), "from the weights"),
}


def same_sign(measured: Measured, gate: float) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """The components that hold and have the same sign in the second set; and notes.

    Without evidence, and with a note, where the model does not answer that set: then nothing can
    be said about it. Without both where the materials have no second set.

    Args:
        measured: The process, of which components hold.
        gate: Least accuracy in each cell.
    """
    second = SECOND[measured.process.name]
    study = _on(second, measured.study)
    if study is None:
        return (), ()
    unmet = [g.reason for g in competence_gates(study, gate) if not g.met]
    if unmet:
        return (), (f"the same sign {second.words} was not asked for: {'; '.join(unmet)}",)
    cells = controlled_cells(measured.model.kind, study.activations)
    questions = Questions.of(cells.values, study.prompts.items)
    relations = sorted(relations_with(questions, second.cells))
    if len(relations) < LEAST_RELATIONS:
        few = f"{study.prompts.name} has {len(relations)} relations; {LEAST_RELATIONS} are needed"
        return (), (f"the same sign {second.words} was not asked for: {few}",)
    contrasts = relation_contrasts(questions, second.cells, relations)
    found, sure, may = _kept(measured, contrasts)
    return (
        Evidence(
            f"of these, with the same sign {second.words}",
            Effect(
                "count",
                found,
                (sure, may),
                method=f"{' minus '.join(second.cells)} in {study.prompts.name}, mean over "
                f"{len(relations)} relations; surely: with any one relation left out",
            ),
            threshold=measured.bar,
            relation=">=",
            n=len(relations),
            key="same_sign",
        ),
    ), ()


def _on(second: Second, study: Study) -> Study | None:
    """The study on the second set: as difficult, crossed as the first one, half as large."""
    whole = whole_cells(study.prompts.name)
    if whole is None:
        return None
    wanted = CellSet(second.kind, second.tasks, crossed=study.prompts.crossed)
    drawn = draw_cells(wanted.named(whole[1]), max(study.plan.items // 2, 1), study.plan.seed)
    return replace(study, prompts=study.plan.labelled(drawn))


def _kept(measured: Measured, contrasts: np.ndarray) -> tuple[int, int, int]:
    """Components that hold and keep their sign; those that surely do; those that may."""
    decisions, metrics = measured.decisions, len(measured.contrasts.cells.metrics)
    same = np.sign(contrasts.mean(0)) == decisions.direction
    firm = stats.leave_one_out_sign(contrasts)

    def count(places: Bool[np.ndarray, " place"]) -> int:
        return int((decisions.holds & places).reshape(-1, metrics).any(1).sum())

    return count(same), count(same & firm), count(same | ~firm)
