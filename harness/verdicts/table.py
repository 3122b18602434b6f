"""The verdicts of a run as a pandas table."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.verdicts.records import read_verdicts
from harness.verdicts.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd


def load_verdicts(path: Path | str) -> "pd.DataFrame":
    """The verdicts of a run as a pandas table, one row a verdict.

    Args:
        path: A `verdicts.json`, a `verdicts.jsonl`, or the folder of a run.

    Columns that say what was tested:
        model: The model, as the user called it.
        materials: The set of prompts.
        claim_id: The claim, such as `h2`; `claim` is its sentence.
        prediction_id: The test that was run; `prediction` is its sentence.
        criterion: Whose rule was applied: `published` or `controlled`.

    Columns that say how it came out:
        outcome: `supported`, `refuted`, `inconclusive` or `not measured`.
        reason: Why, in a sentence.
        deciding: What decided it: the headline effect, the first requirement or control that
            failed, or the first gate that was not met.
        severity_supported, severity_contrasts: Of how many same-process contrasts the same rule
            supports how many; NaN where none was judged.
        primary: Whether the claim stands on this prediction.
        stage: `exploratory` (the plan was tuned on this model) or `confirmatory`; None if unknown.
        gates, gates_unmet: How many conditions the measurement had, and how many were not met.
        controls, controls_failed: How many controls were measured, and how many misbehaved.

    Columns of the evidence that decided (where a control or a gate did, of the first decisive
    evidence; NaN or None where nothing was measured):
        evidence: What was measured, as a phrase.
        key: The evidence's stable key; empty where it has none.
        effect_name: The quantity, such as `d`.
        effect, effect_low, effect_high: Its value and interval.
        relation, threshold: How it must stand to what; `secondary` where nothing is required.
        p, p_adjusted, alpha: Uncorrected p, p corrected over its family, and what that is
            compared with.
        floor: The smallest corrected p that the design can reach.
        n: How many samples it is measured on.

    Columns that say where it comes from:
        seconds: How long the prediction took.
        cached: Whether every activation came from the store.
        run_id, created: The run, and when the verdict fell (ISO 8601).
        model_path, revision, weights, architecture: Of the model; `weights` is a hash.
        materials_hash, plan_hash: Change with any prompt, and with any constant of the claim.
        control, expected: On reference models only: `positive` or `negative`, and the outcome that
            is known. Such a row checks the instrument and is no result.

    Raises:
        FileNotFoundError: If there is nothing to read.
        ValueError: If a record is not JSON or breaks the schema.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that writing a verdict does not need

    table = pd.DataFrame([row(verdict) for verdict in read_verdicts(path)], columns=VERDICT_COLUMNS)
    return table.astype(dict.fromkeys(NUMERIC, float))


OF_EVIDENCE = ("key", "relation", "threshold", "p", "p_adjusted", "alpha", "floor", "n")
NUMERIC = (
    *("effect", "effect_low", "effect_high", "threshold"),
    *("p", "p_adjusted", "alpha", "floor", "n"),
    *("severity_supported", "severity_contrasts"),
)
VERDICT_COLUMNS = (
    *("model", "materials", "claim_id", "prediction_id", "criterion", "outcome", "reason"),
    "deciding",
    *("evidence", "key", "effect_name", "effect", "effect_low", "effect_high"),
    *("relation", "threshold", "p", "p_adjusted", "alpha", "floor", "n"),
    *("severity_supported", "severity_contrasts", "primary", "stage"),
    *("gates", "gates_unmet", "controls", "controls_failed"),
    *("claim", "prediction", "seconds", "cached", "run_id", "created"),
    *("model_path", "revision", "weights", "architecture", "materials_hash", "plan_hash"),
    *("control", "expected"),
)
AS_IT_IS = (
    *("claim_id", "claim", "prediction_id", "prediction", "reason"),
    *("seconds", "cached", "run_id", "created"),
)


def row(verdict: Verdict) -> dict[str, Any]:
    """One verdict as one flat row; see `load_verdicts` for its columns."""
    model, materials, known = verdict.model, verdict.materials, verdict.control
    severity = verdict.severity
    return {
        **{name: getattr(verdict, name) for name in AS_IT_IS},
        "criterion": str(verdict.criterion),
        "outcome": str(verdict.outcome),
        "deciding": verdict.deciding.plain,
        "model": model.name,
        "materials": materials.name,
        **_numbers(verdict),
        "severity_supported": severity.supported if severity else None,
        "severity_contrasts": severity.contrasts if severity else None,
        "primary": verdict.primary,
        "stage": str(verdict.stage) or None,
        "gates": len(verdict.gates),
        "gates_unmet": sum(not gate.met for gate in verdict.gates),
        "controls": len(verdict.controls),
        "controls_failed": sum(c.passed is False for c in verdict.controls),
        "model_path": model.facts.get("path"),
        **{name: model.facts.get(name) for name in ("revision", "weights", "architecture")},
        "materials_hash": materials.facts.get("hash"),
        "plan_hash": verdict.plan.hash or None,
        "control": None if known is None else known.role,
        "expected": None if known is None else known.expected,
    }


def _numbers(verdict: Verdict) -> dict[str, Any]:
    """The columns of the evidence that decided; none if there is no evidence."""
    lead = verdict.deciding.evidence or verdict.lead
    if lead is None:
        return {}
    low, high = lead.effect.interval or (None, None)
    return {
        "evidence": lead.name,
        "effect_name": lead.effect.name,
        "effect": lead.effect.value,
        "effect_low": low,
        "effect_high": high,
        **{name: getattr(lead, name) for name in OF_EVIDENCE},
    }
