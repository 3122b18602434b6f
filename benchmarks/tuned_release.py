"""A release whose circuit alone was tuned, as h10 tunes it: to be compared with the model itself.

    python -m benchmarks.tuned_release planted-qwen --process composing --kind head --out DIR
    pytest hypotheses/ -k h0 --model planted-qwen --save-baseline before --gate none
    pytest hypotheses/ -k h0 --model DIR --baseline before --gate regressions

h10 puts the weights back after it has asked the tuned model. Here they are kept, so that what one
ability lost and what the others kept is seen as between any two releases.
"""

import argparse
import tempfile
from pathlib import Path

from harness.adapter import owned, tuning
from harness.calibration.processes import claim_module
from harness.findings.processes.circuit import rows_of_cells
from harness.findings.processes.circuit_search import searched
from harness.findings.processes.kinds import PROCESSES
from harness.findings.processes.tuning import to_unlearn
from harness.materials.cell_sets import draw_cells
from harness.models.specs import LoadOptions, resolve
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject

SETTING = "cells@chains4-shots4-shuffled-steps2"  # what `auto` takes for the embedded models


def make(name: str, process: str, kind: str, out: Path) -> tuning.Tuned:
    """Write the tuned model as a folder; what was done."""
    claim, plan = claim_module("h10"), Plan()
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(resolve(name), LoadOptions(device="cpu"), Store(Path(folder)))
        study = Study(subject, draw_cells(SETTING, plan.items, plan.seed), plan)
        wanted = PROCESSES[process]
        _, parts, search = searched(study, kind, wanted, claim.rule.circuit, claim.GATE)
        found = search.circuit(rows_of_cells(parts.selection, wanted.cells[0])).circuit
        known = to_unlearn(study, parts.selection, wanted.cells[0]).items
        model, steps = subject.model, claim.rule.steps
        chosen = owned.parts_of(model.network, kind, found.members)
        length = steps.size * owned.length_of([p.of(p.parameter.data) for p in chosen])
        with tuning.tuned(model.network, model.batcher, known, chosen, length, steps) as done:
            model.module.save_pretrained(out)
            model.tokenizer.save_pretrained(out)
    return done


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model")
    parser.add_argument("--process", choices=sorted(PROCESSES), default="composing")
    parser.add_argument("--kind", choices=("head", "neuron"), default="head")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    done = make(arguments.model, arguments.process, arguments.kind, arguments.out)
    nats = ", ".join(f"{value:.2f}" for value in done.answered)
    print(f"{done.steps} steps; logit difference of what is unlearnt, nats: {nats}")


if __name__ == "__main__":
    main()
