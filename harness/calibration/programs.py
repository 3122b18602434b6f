"""Does the causal ranking find circuits that others published: programs taught with their circuit.

Tiny networks are taught programs of Tracr's library by InterpBench's recipe, strict interchange
intervention training (`fixtures/training/interchange.py`). Which heads and MLPs serve is known from
that, and neither this suite nor what it measures had a part in it. Each network is asked its
program's prompts, every head and MLP is ablated by the suite's own sweep, and components are
ranked by what their loss costs, as the search of h5 does within a cell.

Beside each network stands one that was taught the answers alone: where nothing binds the program to
the circuit that is written down, no method may find it there.

Networks that were taught two programs show the search itself: which heads cost one program beyond
the other, and how many it takes.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
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
    searched,
    sites_of,
)
from harness.calibration.recovery import CIRCUIT
from harness.calibration.taught import ANSWERS, BOTH, CIRCUITS, FOLDER, Network
from harness.files import write_text
from harness.foreign import parsed
from harness.materials.items import PromptSet
from harness.models import identity, specs
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.fingerprint import instrument, library_versions
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject

TAUGHT = 0.95  # share right, of answers, exchange and strictness, from which the truth is known
KINDS = ("head", "component")  # heads alone; heads and MLPs together


def measured_programs(
    programs: Sequence[str], seeds: Sequence[int], work: Path, cores: int
) -> dict[str, Any]:
    """Every network, and over all of them how well each way to rank finds their circuits.

    Args:
        programs: Of fixtures/training/programs.py.
        seeds: Of the networks of each program, for each thing taught.
        work: The calibration's work folder.
        cores: Networks that are taught at a time.
    """
    work = work.resolve()
    networks = [
        Network(program, seed, taught)
        for seed in seeds
        for program in programs
        for taught in ((CIRCUITS,) if BOTH in program else (CIRCUITS, ANSWERS))
    ]
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(lambda network: network.write(work), networks))
    entries = [_kept(network, work) for network in networks]
    return {
        "networks": entries,
        "recovery": list(_over_networks(entries)),
        "search": _over_pairs(entries),
    }


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
        write_text(file, json.dumps(_measured(network, Path(spec.path), work)))
    found: dict[str, Any] = parsed(file.read_bytes())
    return found


def _measured(network: Network, folder: Path, work: Path) -> dict[str, Any]:
    known = specs.read_json(folder / CIRCUIT)
    subject = Subject(specs.resolve(str(folder)), LoadOptions(), Store(work / FOLDER / "cache"))
    prompts = prompts_of(folder, [each["program"] for each in known["programs"]])
    found: dict[str, Any] = {
        **asdict(network),
        "right": known["taught"],
        "known": min(known["taught"].values()) >= TAUGHT,
        "prompts": len(prompts),
        "answered": float(subject.answers(prompts).correct.mean()),
        "recovery": [],
        "search": [],
    }
    if BOTH in network.program:
        study = Study(subject, prompts, Plan())
        for each in known["programs"]:
            own = {tuple(place) for place in each["heads"]}
            found["search"].append(searched(study, each["program"], own))
    else:
        found["recovery"] = list(_ranked(subject, prompts, known["programs"][0]))
    subject.forget()
    return found


def _ranked(
    subject: Subject, prompts: PromptSet, circuit: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """One entry a way to rank and kind of component."""
    sites = sites_of(subject)
    own = {("head", *place) for place in circuit["heads"]}
    own |= {("mlp", layer, None) for layer in circuit["mlps"]}
    positive = np.array([(site.kind, site.layer, site.index) in own for site in sites])
    is_head = np.array([site.kind == "head" for site in sites])
    for way, score in scores(subject, prompts, sites).items():
        for kind, kept in zip(KINDS, (is_head, np.ones(len(sites), dtype=bool)), strict=True):
            yield {"way": way, "kind": kind, **compared(score[kept], positive[kept])}


def _over_networks(entries: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean AUROC by what was taught, way and kind; interval over programs and their networks.

    Found are components whose loss costs more than h5 lets another cell lose, in all networks.
    Of networks that were taught the circuit, those of which it is known that they have it.
    """
    for taught in (CIRCUITS, ANSWERS):
        mine = [e for e in entries if e["taught"] == taught and BOTH not in e["program"]]
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


def _over_pairs(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The search in networks of two programs, as `_over_networks`; None without such a network."""
    mine = [e for e in entries if BOTH in e["program"]]
    each = [(e, r) for e in mine if e["known"] for r in e["search"]]
    if not mine:
        return None
    found: dict[str, Any] = {
        "networks": sum(e["known"] for e in mine),
        "left_out": sum(not e["known"] for e in mine),
        **{n: sum(r[n] for _, r in each) for n in ("positives", "found", "found_own")},
    }
    for name in ("auroc", "auroc_cost"):
        found[name] = _mean([(e["program"], str(e["seed"]), r[name]) for e, r in each])
    return found


def _mean(values: Sequence[tuple[str, str, float]]) -> dict[str, Any]:
    if len({program for program, *_ in values}) < 2:
        single = float(np.mean([auroc for *_, auroc in values])) if values else None
        return {"auroc": single, "interval": None}
    programs, seeds, aurocs = (np.array(column) for column in zip(*values, strict=True))
    entity = np.char.add(np.char.add(programs, " "), seeds)  # networks of a seed share nothing
    found = stats.bootstrap_over_relations(aurocs.astype(float), programs, entity)
    return {"auroc": float(found.value), "interval": [float(found.low), float(found.high)]}
