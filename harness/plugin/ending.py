"""The `verdict` fixture: the one way in which a prediction ends."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import pytest

from harness.compare.changes import Change, baseline_field, change_of, refuse
from harness.compare.matching import Made, Match, before_of, differences
from harness.compare.past import Baseline
from harness.plugin.collector import CACHE_NOTE, REFUSED, VERDICT, run_key
from harness.plugin.hooks import baseline_key, end_reference, identity, reference_model_of
from harness.plugin.run import not_measured, now, provenance
from harness.plugin.settings import Settings, settings_key
from harness.study.reference_models import StoredVerdicts
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.verdict import (
    Criterion,
    Finding,
    Outcome,
    Verdict,
    components_record,
    evidence_record,
    judge,
    plan_of,
)


@pytest.fixture
def verdict(
    request: pytest.FixtureRequest,
) -> Callable[..., None]:
    """Judge a finding, record it, and end the test accordingly.

    supported passes; refuted fails (under `--gate none`: is expected to); inconclusive skips.
    Under `--gate regressions` what the baseline supports must still be supported, and what it
    does not is expected to fail.
    """
    started = time.monotonic()
    names = request.fixturenames
    subject: Subject | None = request.getfixturevalue("subject") if "subject" in names else None
    study: Study | None = request.getfixturevalue("study") if "study" in names else None
    measured_before = subject.store.measured if subject else 0
    settings = request.config.stash[settings_key]
    who = identity(request.node)
    materials = _materials(study) if study else {"name": "", "hash": ""}
    plan = plan_of(_constants(request.module))
    reference = reference_model_of(request.node)
    before = (
        None
        if reference
        else _before(request, who, Made(who["claim_id"], materials, plan, _numbers(settings)))
    )

    def end(finding: Finding) -> None:
        outcome, reason = judge(finding, Criterion(who["criterion"]))
        run = request.config.stash[run_key]
        record = Verdict(
            run_id=run.run_id,
            created=now(),
            claim_id=who["claim_id"],
            claim=who["claim"],
            prediction_id=who["prediction_id"],
            prediction=who["prediction"],
            criterion=who["criterion"],
            outcome=outcome,
            reason=reason,
            model=subject.record() if subject else {"name": who["model"]},
            materials=materials,
            evidence=[evidence_record(e) for e in finding.evidence],
            controls=[asdict(c) for c in finding.controls],
            components=components_record(finding.components),
            notes=(*settings.plan.notes, *finding.notes),
            plan={**plan, "description": request.module.__doc__},
            provenance={
                **provenance(),
                "device": settings.load.device,
                **_numbers(settings),
                "batch_size": settings.load.batch_size or "auto",
            },
            seconds=round(time.monotonic() - started, 3),
            cached=subject is not None and subject.store.measured == measured_before,
            control=None if reference is None else reference.known(who),
        ).to_json()
        if reference is not None and settings.cache != "off":
            stored = StoredVerdicts(settings.plan, settings.load, settings.cache_dir)
            stored.save(reference, who, request.path, record)
        baseline = request.config.stash[baseline_key]
        if baseline is not None and reference is None:
            record["baseline"] = baseline_field(Match(record, before), (), baseline)
        # Not record_property: it warns under --junitxml's default family.
        text = json.dumps(record, allow_nan=False)
        request.node.user_properties.append((VERDICT, text))
        if subject:
            store = subject.store
            for sentence in (*store.damaged, *store.problems):
                request.node.user_properties.append((CACHE_NOTE, sentence))
        if reference is not None:
            end_reference(record, settings.gate)
            return
        common = {
            "model": who["model"],
            "materials": materials["name"],
            "claim_id": who["claim_id"],
            "criterion": who["criterion"],
        }
        if finding.tables:
            run.save_components(finding.tables, **common)
        run.save_units(finding.units, prediction_id=who["prediction_id"], **common)
        run.save_plots(finding.plots, prediction_id=who["prediction_id"], **common)
        if settings.gate == "regressions" and baseline is not None:
            _end_against(baseline, record, before)
        _end_test(outcome, reason, settings.gate)

    return end


def _before(
    request: pytest.FixtureRequest, who: Mapping[str, str], made: Made
) -> Mapping[str, Any] | None:
    """The baseline's verdict on this prediction, refused now if it was made otherwise."""
    baseline = request.config.stash[baseline_key]
    if baseline is None:
        return None
    before = before_of(who, made.materials["name"], baseline)
    if before is None or before["outcome"] == Outcome.NOT_MEASURED:
        return before
    found = differences(made, Made.of(before), shared=baseline.shared)
    if found:
        match = Match(not_measured(who, "", ""), before)
        field = baseline_field(match, (), baseline, found)
        request.node.user_properties.append((REFUSED, json.dumps(field)))
        raise refuse(found, baseline)
    return before


def _end_against(
    baseline: Baseline, record: Mapping[str, Any], before: Mapping[str, Any] | None
) -> None:
    """Fail what the baseline supports and this run does not; expect what was so before."""
    outcome, reason, name = record["outcome"], record["reason"], baseline.past.name
    change = change_of(outcome, before["outcome"] if before else None)
    if change is Change.REGRESSED:
        pytest.fail(f"regressed: supported in {name}, {outcome} now: {reason}", pytrace=False)
    if outcome == Outcome.REFUTED and change is Change.ABSENT:
        pytest.fail(f"refuted: {reason} (and not in {name}, so not known before)", pytrace=False)
    if outcome == Outcome.REFUTED and before is not None:
        pytest.xfail(f"refuted: {reason} ({before['outcome']} in {name})")


def _end_test(outcome: Outcome, reason: str, gate: str) -> None:
    if outcome is Outcome.INCONCLUSIVE:
        pytest.skip(f"inconclusive: {reason}")
    if outcome is Outcome.REFUTED:
        if gate == "none":
            pytest.xfail(f"refuted: {reason}")
        pytest.fail(f"refuted: {reason}", pytrace=False)


def _numbers(settings: Settings) -> dict[str, float | None]:
    """What the run fixes for every prediction."""
    return {**asdict(settings.plan), "chat_template": settings.load.chat_template}


def _materials(study: Study) -> dict:
    prompts = study.prompts
    shuffled = study.plan.shuffle_labels
    return {
        **({"labels shuffled": shuffled} if shuffled else {}),
        "name": prompts.name,
        "hash": prompts.hash,
        "template_hash": prompts.template_hash,
        "n": prompts.count(),
        "pairs": len(prompts.pairs),
    }


def _constants(module: object) -> dict:
    return {name: value for name, value in vars(module).items() if name.isupper()}
