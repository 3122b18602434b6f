"""How well the search of h5 finds circuits that were written by hand, organism by organism.

    python -m benchmarks.organisms apart apart-25 backup

Only the search runs, on the discovery half of the materials: minutes an organism. It adds to
`benchmarks/results/organisms.json`; the table in docs/calibration.md is made from that file
(`--page` makes it again and measures nothing). `--simulate` writes simulated_power.json beside it.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.training import written
from harness.calibration.processes import _compared, claim_module
from harness.calibration.recovery import places
from harness.calibration.simulated import simulated_power
from harness.files import DATA
from harness.findings.processes.circuit import Parts, Search, rows_of_cells
from harness.findings.processes.kinds import PROCESSES
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import Difficulty
from harness.models import specs
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject

SIMULATED = DATA / "benchmarks" / "results" / "simulated_power.json"
RECORD = DATA / "benchmarks" / "results" / "organisms.json"
PAGE = DATA / "docs" / "calibration.md"
START, END = (
    "<!-- organisms: made from benchmarks/results/organisms.json -->",
    "<!-- end organisms -->",
)
ITEMS, SEED = 64, 2


def measured(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """One entry a kind of component and process."""
    written.write(folder / name, name)
    subject = Subject(specs.resolve(str(folder / name)), LoadOptions(), Store(folder / "store"))
    prompts = draw_cells("cells", ITEMS, SEED, Difficulty(shots=0))
    study = Study(subject, prompts, Plan(items=ITEMS, seed=SEED))
    for kind in ("head", "neuron"):
        search = Search(study, kind, Parts.of(study).selection, claim_module("h5").rule)
        for process in PROCESSES.values():
            rows = rows_of_cells(search.prompts, process.cells[0])
            found, scores = search.circuit(rows), search.scores(rows)
            own = places(written.truth(name)["processes"].get(process.name, {}), kind)
            is_own = [(n, i) in own for n, row in enumerate(scores) for i in range(len(row))]
            yield {
                "organism": name,
                "kind": kind,
                "process": process.name,
                "seed": SEED,
                "items": int(rows[0].sum()),
                "size": int(found.size),
                "share": round(float(found.share), 4),
                "score": round(float(found.score), 4),
                "inside": sum(tuple(member) in own for member in found.circuit.members),
                **_compared(scores.ravel(), np.array(is_own)),
            }


def table(record: list[dict[str, Any]]) -> str:
    """Markdown: an organism and kind a row."""
    lines = [
        "| organism, parts | process | found, of these its own | costs its cell, beyond the others "
        "| share of what all of the kind cost | AUROC |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry in record:
        low, high = entry["interval"] or (0, 0)
        auroc = f"{entry['auroc']:.2f} [{low:.2f}, {high:.2f}]" if entry["positives"] else "–"
        lines.append(
            f"| `{entry['organism']}`, {entry['kind']}s | {entry['process']} "
            f"| {entry['size']}, {entry['inside']} | {entry['score']:.2f} | {entry['share']:.2f} "
            f"| {auroc} |"
        )
    return "\n".join(lines)


def put_into_page(record: list[dict[str, Any]]) -> None:
    """Write the table between its marks."""
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{START}\n{table(record)}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help=", ".join(written.WRITTEN))
    parser.add_argument("--simulate", action="store_true", help="simulate the power of h1 to h3")
    parser.add_argument("--page", action="store_true", help="only write the table again")
    arguments = parser.parse_args()
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else []
    for name in () if arguments.page else arguments.name:
        record = [entry for entry in record if entry["organism"] != name]
        with tempfile.TemporaryDirectory() as folder:
            record += measured(name, Path(folder))
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if arguments.simulate:
        text = json.dumps(simulated_power(), indent=1)
        SIMULATED.write_text(text + "\n", encoding="utf-8")
    put_into_page(record)


if __name__ == "__main__":
    main()
