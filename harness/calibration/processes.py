"""What the claims on processes say where nothing is, from what is measured once of each model.

A run of the suite for every shuffled set of labels would take minutes; the rules of the claims on
activations, or on effects of components, that are measured already take a fraction of a second.
`from_activations` asks h1 to h4 and h7, `from_effects` h5, h6 and h8. On models with a circuit.json
that names processes, components are compared with it besides.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.calibration.claims import claim_module
from harness.calibration.from_activations import activation_entries, measured
from harness.calibration.from_effects import effect_entries
from harness.calibration.recovery import CLAIMS, circuit_of, places
from harness.calibration.settings import ON_ORGANISMS, ORGANISMS
from harness.files import write_text
from harness.findings.processes.circuit import Parts, rows_of_cells
from harness.findings.processes.circuit_search import Search
from harness.findings.processes.kinds import PROCESSES
from harness.foreign import parsed
from harness.materials.cell_sets import draw_cells
from harness.models import identity, specs
from harness.models.recipes import written_organism
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.difficulty import Asked, choose_difficulty
from harness.study.fingerprint import instrument, library_versions
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.judge import Inconclusive

FOLDER = "processes"  # of a calibration's work folder
Entries = Iterator[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Stage:
    """How much is asked of each model.

    Attributes:
        shuffles: Of labels, on activations (h1 to h4, h7).
        seeds: Draws of same-process contrasts on activations, 40 pairings each.
        effects: Shuffles, and as many same-process contrasts, on effects of components.
        items: Of each cell.
        seed: Of materials and shuffles, and the first of the draws.
    """

    shuffles: int
    seeds: int
    effects: int
    items: int
    seed: int = 0


def measured_processes(model: str, stage: Stage, work: Path) -> list[dict[str, Any]]:
    """One entry a claim, kind of component and process.

    Each of three parts is kept in the work folder when it is whole: what is asked of activations,
    what is asked of effects, and how well components are ranked where the truth is known.

    Args:
        model: As `--model` names it, or an organism, which is written first.
        stage: How much is asked.
        work: The calibration's work folder.
    """
    called, asked = Path(model).name, Asked()
    if model in ORGANISMS:
        model, asked = str(written_organism(model, work)), Asked(**ON_ORGANISMS)
    spec = specs.resolve(model)
    depends = {
        "model": identity.identity_of(spec, LoadOptions(), work),
        "instrument": instrument(),
        "libraries": library_versions(),
        "stage": asdict(stage),
        "asked": asdict(asked),
        "counted": _counted(),  # `instrument` leaves out what only counts
    }
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    about = {"model": called, "items": stage.items, "instrument": instrument()}
    study: list[Study] = []  # made once, and only if something is missing
    found = []
    for name, part in _PARTS.items():
        file = work / FOLDER / f"{called}-{name}-{key}.json"
        if not file.is_file():
            study = study or [_study(spec, asked, stage, work)]
            entries = [{**about, "part": name, **entry} for entry in part(study[0], stage)]
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(entries))
        found += parsed(file.read_bytes())
    return found


def _counted() -> str:
    """A hash of how contrasts are made and counted."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _study(spec: specs.ModelSpec, asked: Asked, stage: Stage, work: Path) -> Study:
    """The model on the materials of a run."""
    subject = Subject(spec, LoadOptions(), Store(work / FOLDER / "cache"))
    plan = Plan(items=stage.items, seed=stage.seed)
    difficulty = choose_difficulty(subject, asked, plan.seed).difficulty
    return Study(subject, draw_cells("cells", plan.items, plan.seed, difficulty), plan)


def _recovery(study: Study) -> Entries:
    """How well what a component does, and what its loss costs, tell those of a process."""
    known = circuit_of(str(study.subject.spec.path)) or {}
    for name, truth in known.get("processes", {}).items():
        for kind in CLAIMS:
            for source, scores in _scores(study, kind, name):
                is_own = [place in places(truth, kind) for place, _ in scores]
                compared = _compared(np.array([score for _, score in scores]), np.array(is_own))
                yield {"kind": kind, "process": name, "source": source, **compared}


def _scores(
    study: Study, kind: Any, process: str
) -> Iterator[tuple[str, list[tuple[tuple[int, int], float]]]]:
    """Scores of every component by its place, as the claims rank them."""
    try:
        table = measured(study, kind, PROCESSES[process]).model
    except Inconclusive:  # nothing is measured where the model does not answer
        return
    at = zip(table.layer.tolist(), table.index.tolist(), strict=True)
    yield "observational", list(zip(at, np.abs(table.effect).tolist(), strict=True))
    if kind != "layer":
        search = Search(study, kind, Parts.of(study).selection, claim_module("h5").rule)
        scores = search.scores(rows_of_cells(search.prompts, PROCESSES[process].target))
        yield "causal", [(place, float(scores[place])) for place in np.ndindex(*scores.shape)]


_PARTS: Mapping[str, Callable[[Study, Stage], Entries]] = {
    "activations": lambda study, stage: activation_entries(study, stage.shuffles, stage.seeds),
    "effects": lambda study, stage: effect_entries(study, stage.effects),
    "recovery": lambda study, _: _recovery(study),
}


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
