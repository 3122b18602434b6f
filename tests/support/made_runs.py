"""Runs as they lie on disk, made up: outcomes, p-values and components that a test decides on."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from harness.calibration.jobs import Job
from harness.calibration.running import Ran
from harness.verdicts.components import COMPONENTS_NAME
from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.records import JSON_NAME, write_verdicts
from tests.support.sample_records import sample

HEADS = [(layer, head) for layer in range(3) for head in range(4)]


def verdict(claim="h2", prediction="heads_hold", criterion="controlled", outcome="refuted", **more):
    """A whole verdict with these words; `p` is the adjusted p of its first evidence."""
    made = next(v for v in sample(("mini-qwen",)) if v.claim_id == "h2")
    evidence = replace(
        made.evidence[0],
        name="strongest effect on discovery, layer 1 head 2, gini",
        key="largest",
        floor=0.001,
        p_adjusted=more.pop("p", None),
        p=more.pop("raw", None),
    )
    if "effect" in more:
        evidence = replace(evidence, effect=replace(evidence.effect, value=more.pop("effect")))
    return replace(
        made,
        claim_id=claim,
        prediction_id=prediction,
        prediction=prediction.title(),
        criterion=Criterion(criterion),
        outcome=Outcome(outcome),
        evidence=(evidence,),
        **more,
    )


def ran(folder: Path, job: Job, *verdicts, components: pd.DataFrame | None = None) -> Ran:
    """A run that is whole."""
    place = folder / job.name.replace(" ", "-")
    place.mkdir(parents=True)
    write_verdicts(place / JSON_NAME, verdicts)
    if components is not None:
        components.to_parquet(place / COMPONENTS_NAME, index=False)
    return Ran(job, place, 2.0)


def heads_table(effects, passed, *, claim="h2", source="model") -> pd.DataFrame:
    """One row a head of a model of 3 layers by 4 heads."""
    return pd.DataFrame(
        {
            "claim_id": claim,
            "criterion": "controlled",
            "source": source,
            "kind": "head",
            "layer": [layer for layer, _ in HEADS],
            "index": [head for _, head in HEADS],
            "metric": "gini",
            "effect": [float(effects.get(place, 0.0)) for place in HEADS],
            "passed": [place in passed for place in HEADS],
        }
    )
