"""What the claims on processes say where nothing is, from activations that are measured once.

A run of the suite for every shuffled set of labels would take minutes; the rule of h1 to h3 on
measured activations takes a fraction of a second. So it is applied many times here:

- *Shuffled labels*: in every block of questions (those of the same stories) a fair coin exchanges
  the two cells. Counted is how often as many components hold as the claim asks for. The claim's
  other requirements can only take support away, so the share bounds its rate of errors from above.
- *Same-process contrasts*: relations of one cell, put together in other random pairs by each seed,
  and answers told first against last.

On models with a circuit.json that names processes, components are compared with it besides.
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.calibration.rates import rate
from harness.calibration.recovery import CLAIMS, circuit_of, places
from harness.files import DATA, write_text
from harness.findings.processes.circuit import Parts, Search, rows_of_cells
from harness.findings.processes.contrasts import Questions, relation_contrasts
from harness.findings.processes.kinds import PROCESSES, Process
from harness.findings.processes.measured import Measured, measure_model, same_process
from harness.foreign import parsed
from harness.materials.cell_sets import draw_cells
from harness.materials.items import DISCOVERY, EVALUATION
from harness.models import identity, specs
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.difficulty import Asked, choose_difficulty
from harness.study.fingerprint import instrument, library_versions
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.judge import Inconclusive

FOLDER = "processes"  # of a calibration's work folder


@dataclass(frozen=True, slots=True)
class Stage:
    """How much is asked of each model.

    Attributes:
        shuffles: Of labels, for each process and kind of component.
        seeds: Draws of same-process contrasts.
        items: Of each cell.
    """

    shuffles: int
    seeds: int
    items: int


def measured_processes(model: str, stage: Stage, work: Path) -> list[dict[str, Any]]:
    """One entry a process and kind of component, kept in the work folder when it is whole.

    Args:
        model: As `--model` names it.
        stage: How much is asked.
        work: The calibration's work folder.
    """
    spec = specs.resolve(model)
    depends = {
        "model": identity.identity_of(spec, LoadOptions(), work),
        "instrument": instrument(),
        "libraries": library_versions(),
        "stage": asdict(stage),
    }
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    file = work / FOLDER / f"{spec.name}-{key}.json"
    if file.is_file():
        kept: list[dict[str, Any]] = parsed(file.read_bytes())
        return kept
    study, known = _study(model, stage.items, work), circuit_of(model)
    found = []
    for kind in CLAIMS:
        for process in PROCESSES.values():
            entry = _entry(study, kind, process, stage)
            found.append({"model": spec.name, "items": stage.items, **entry})
    for entry in found:
        truth = (known or {}).get("processes", {}).get(entry["process"])
        entry["recovery"] = [] if truth is None else list(_recovery(study, entry, truth))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(found))
    return found


def _study(model: str, items: int, work: Path) -> Study:
    """The model on the materials of a run with the default options."""
    subject = Subject(specs.resolve(model), LoadOptions(), Store(work / FOLDER / "cache"))
    plan = Plan(items=items)
    difficulty = choose_difficulty(subject, Asked(), plan.seed).difficulty
    return Study(subject, draw_cells("cells", items, plan.seed, difficulty), plan)


@cache
def claim_module(claim_id: str) -> ModuleType:
    """The file of a claim, for its constants and its rule."""
    (file,) = (DATA / "hypotheses").glob(f"test_{claim_id}_*.py")
    spec = importlib.util.spec_from_file_location(f"claim_{claim_id}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be read.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(study: Study, kind: Any, process: Process) -> Measured:
    """A process on one kind of component, under the rule of its claim.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    claim = claim_module(CLAIMS[kind])
    rule = claim.rule_of(study)
    return measure_model(study, kind, process, rule, needed=claim.NEEDED, gate=claim.GATE)


def _entry(study: Study, kind: str, process: Process, stage: Stage) -> dict[str, Any]:
    place = {"kind": kind, "process": process.name}
    try:
        found = measured(study, kind, process)
    except Inconclusive as reason:
        return {**place, "unmet": str(reason), "count": None, "bar": None} | dict.fromkeys(
            ("shuffled", "same_process")
        )
    counts = shuffled_counts(found, stage.shuffles)
    same = [
        other.count
        for seed in range(stage.seeds)
        for other in same_process(replace(found, rule=replace(found.rule, seed=seed)))
    ]
    return {
        **place,
        "unmet": None,
        "count": found.model.count,
        "bar": found.bar,
        "shuffled": rate(sum(count >= found.bar for count in counts), len(counts)),
        "same_process": rate(sum(count >= found.bar for count in same), len(same)),
    }


def shuffled_counts(measured: Measured, shuffles: int) -> list[int]:
    """Components that hold under each set of shuffled labels.

    Args:
        measured: A process on a model; its rule's seed is that of the shuffles.
        shuffles: How many sets.
    """
    cells, process = measured.contrasts.cells, measured.process
    questions = Questions.of(cells.values, measured.study.prompts.items)
    questions = questions.rows(np.isin(questions.asked, process.cells))
    generator = np.random.default_rng(measured.rule.seed)
    counts = []
    for _ in range(shuffles):
        relabelled = replace(questions, asked=exchanged(questions, process.cells, generator))
        sides = (
            relation_contrasts(
                relabelled.rows(relabelled.split == split),
                process.cells,
                measured.contrasts.relations,
            )
            for split in (DISCOVERY, EVALUATION)
        )
        decisions = measured.rule.decide(*sides)
        counts.append(measured.rule.count(decisions, len(cells.metrics)))
    return counts


def exchanged(
    questions: Questions, cells: tuple[str, str], generator: np.random.Generator
) -> np.ndarray:
    """The cell of each prompt, both cells exchanged in blocks that a fair coin chooses."""
    blocks, number = np.unique(questions.block, return_inverse=True)
    coin = generator.random(len(blocks)) < 1 / 2
    swapped = np.where(questions.asked == cells[0], cells[1], cells[0])
    return np.where(coin[number], swapped, questions.asked)


def _recovery(
    study: Study, entry: Mapping[str, Any], truth: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """How well what a component does, and what its loss costs, tell those of the process."""
    kind, process = entry["kind"], PROCESSES[entry["process"]]
    positive = places(truth, kind)
    if entry["unmet"] is None:
        table = measured(study, kind, process).model
        at = zip(table.layer.tolist(), table.index.tolist(), strict=True)
        is_own = np.array([place in positive for place in at])
        yield {"source": "observational", **_compared(np.abs(table.effect), is_own)}
    if kind != "layer":
        search = _search(study, kind)
        scores = search.scores(rows_of_cells(search.prompts, process.cells[0]))
        own = [[(n, c) in positive for c in range(scores.shape[1])] for n in range(len(scores))]
        yield {"source": "causal", **_compared(scores.ravel(), np.array(own).ravel())}


def _search(study: Study, kind: Any) -> Search:
    return Search(study, kind, Parts.of(study).selection, claim_module("h5").rule)


def _compared(
    score: Float[np.ndarray, " component"], positive: Bool[np.ndarray, " component"]
) -> dict[str, Any]:
    if positive.all() or not positive.any():
        return {"auroc": None, "interval": None, "positives": int(positive.sum()), "negatives": 0}
    found = stats.recovery(score, np.zeros(len(score), dtype=bool), positive)
    return {
        "auroc": found.auroc,
        "interval": list(stats.auroc_interval(score, positive)),
        "positives": found.positives,
        "negatives": found.negatives,
    }
