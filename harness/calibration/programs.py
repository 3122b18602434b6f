"""Does the causal ranking find circuits that others published: programs taught with their circuit.

Tiny networks are taught programs of Tracr's library by InterpBench's recipe, strict interchange
intervention training (`fixtures/training/interchange.py`). Which heads and MLPs serve is known from
that, and neither this suite nor what it measures had a part in it. Each network is asked its
program's prompts, every head and MLP is ablated by the suite's own sweep, and components are
ranked by what their loss costs, as the search of h5 does within a cell.

Beside each network stands one that was taught the answers alone: where nothing binds the program to
the circuit that is written down, no method may find it there.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import stats
from harness.calibration.ranking import (
    RANKING_VERSION,
    WAYS,
    compared,
    prompts_of,
    scores,
    sites_of,
)
from harness.calibration.recovery import CIRCUIT
from harness.calibration.running import run_environment
from harness.files import DATA, write_text
from harness.foreign import parsed
from harness.models import identity, specs
from harness.models.specs import LoadOptions, ModelError
from harness.store.store import Store
from harness.study.fingerprint import instrument, library_versions
from harness.study.subject import Subject

FOLDER = "programs"  # of a calibration's work folder
RECIPE = ("programs.py", "exchange.py", "interchange.py")  # of fixtures/training
CIRCUITS, ANSWERS = "circuit", "answers"  # what a network was taught
TAUGHT = 0.95  # share right, of answers, exchange and strictness, from which the truth is known
KINDS = ("head", "component")  # heads alone; heads and MLPs together


@dataclass(frozen=True, slots=True)
class Network:
    """One of the networks.

    Attributes:
        program: That it was taught.
        seed: Of weights, of inputs, and of where the circuit lies.
        taught: `circuit`, or `answers` alone.
    """

    program: str
    seed: int
    taught: str = CIRCUITS

    def folder(self, work: Path) -> Path:
        """Where it is written; the recipe is part of the name, so that an old one is left."""
        recipe = hashlib.sha256()
        for name in RECIPE:
            recipe.update((DATA / "fixtures" / "training" / name).read_bytes())
        name = f"{self.program}-{self.taught}-{self.seed}-{recipe.hexdigest()[:8]}"
        return work / FOLDER / name

    def write(self, work: Path) -> None:
        """Teach it, in a process of its own, unless that was done.

        Raises:
            ModelError: If it could not be written.
        """
        folder = self.folder(work)
        if (folder / CIRCUIT).is_file():
            return
        alone = ["--answers-alone"] if self.taught == ANSWERS else []
        done = subprocess.run(
            [
                *(sys.executable, "-m", "fixtures.training.interchange", self.program),
                *("--seed", str(self.seed), "--out", str(folder), *alone),
            ],
            cwd=DATA,
            env=run_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise ModelError(f"the program {self.program!r} could not be taught: {last[0]}")


def measured_programs(
    programs: Sequence[str], seeds: int, work: Path, cores: int
) -> dict[str, Any]:
    """Every network, and over all of them how well each way to rank finds their circuits.

    Args:
        programs: Of fixtures/training/programs.py.
        seeds: Networks of each program, for each thing taught.
        work: The calibration's work folder.
        cores: Networks that are taught at a time.
    """
    work = work.resolve()
    networks = [
        Network(p, s, t) for s in range(seeds) for p in programs for t in (CIRCUITS, ANSWERS)
    ]
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(lambda network: network.write(work), networks))
    entries = [_kept(network, work) for network in networks]
    return {"networks": entries, "recovery": list(_over_networks(entries))}


def _kept(network: Network, work: Path) -> dict[str, Any]:
    """What is measured of a network, once."""
    spec = specs.resolve(str(network.folder(work)))
    depends = {
        "model": identity.identity_of(spec, LoadOptions(), work),
        "version": RANKING_VERSION,
        "instrument": instrument(),
        "libraries": library_versions(),
    }
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    file = work / FOLDER / f"{spec.name}-{key}.json"
    if not file.is_file():
        write_text(file, json.dumps(_measured(network, spec.path, work)))
    found: dict[str, Any] = parsed(file.read_bytes())
    return found


def _measured(network: Network, folder: Any, work: Path) -> dict[str, Any]:
    known = specs.read_json(Path(folder) / CIRCUIT)
    subject = Subject(specs.resolve(str(folder)), LoadOptions(), Store(work / FOLDER / "cache"))
    prompts = prompts_of(Path(folder))
    sites = sites_of(subject)
    own = {("head", *place) for place in known["heads"]} | {("mlp", n, None) for n in known["mlps"]}
    positive = np.array([(site.kind, site.layer, site.index) in own for site in sites])
    is_head = np.array([site.kind == "head" for site in sites])
    recovery = []
    for way, score in scores(subject, prompts, sites).items():
        for kind, kept in zip(KINDS, (is_head, np.ones(len(sites), dtype=bool)), strict=True):
            recovery.append({"way": way, "kind": kind, **compared(score[kept], positive[kept])})
    subject.forget()
    return {
        **asdict(network),
        "right": known["taught"],
        "known": min(known["taught"].values()) >= TAUGHT,
        "prompts": len(prompts),
        "answered": float(subject.answers(prompts).correct.mean()),
        "recovery": recovery,
    }


def _over_networks(entries: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean AUROC by what was taught, way and kind; interval over programs and their networks.

    Found are components whose loss costs more than h5 lets another cell lose, in all networks.
    Of networks that were taught the circuit, those of which it is known that they have it.
    """
    for taught in (CIRCUITS, ANSWERS):
        mine = [e for e in entries if e["taught"] == taught]
        counted = [e for e in mine if e["known"] or taught == ANSWERS]
        for way in WAYS:
            for kind in KINDS:
                place = (way, kind)
                each = [
                    (e, r) for e in counted for r in e["recovery"] if (r["way"], r["kind"]) == place
                ]
                yield {
                    **{"taught": taught, "way": way, "kind": kind},
                    **{"networks": len(each), "left_out": len(mine) - len(each)},
                    **_mean([(e["program"], str(e["seed"]), r["auroc"]) for e, r in each]),
                    **{n: sum(r[n] for _, r in each) for n in ("positives", "found", "found_own")},
                }


def _mean(values: Sequence[tuple[str, str, float]]) -> dict[str, Any]:
    if len({program for program, *_ in values}) < 2:
        single = float(np.mean([auroc for *_, auroc in values])) if values else None
        return {"auroc": single, "interval": None}
    programs, seeds, aurocs = (np.array(column) for column in zip(*values, strict=True))
    entity = np.char.add(np.char.add(programs, " "), seeds)  # networks of a seed share nothing
    found = stats.bootstrap_over_relations(aurocs.astype(float), programs, entity)
    return {"auroc": float(found.value), "interval": [float(found.low), float(found.high)]}
