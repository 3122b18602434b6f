"""What the `verdict` fixture does: the one way in which a prediction ends."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest

from harness.compare.changes import earlier, refuse
from harness.compare.matching import Made, Match, Place, differences, earlier_verdict
from harness.plugin.collector import CACHE_NOTE, REFUSED, VERDICT, run_key
from harness.plugin.constants import suite_constants
from harness.plugin.gate import end_of
from harness.plugin.prediction import Prediction
from harness.plugin.predictions import baseline_key, prediction_of, reference_model_of
from harness.plugin.run import not_measured
from harness.plugin.settings import Settings, settings_key
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.judge import Criterion, Finding, Outcome, judge
from harness.verdicts.verdict import AnalysisPlan, ComponentSummary, Named, Verdict, plan_of


def ending(request: pytest.FixtureRequest) -> Callable[[Finding], None]:
    """The function that a prediction gets as its `verdict`."""
    test = _test(request)
    before = _before(request, test)

    def end(finding: Finding) -> None:
        found = _compared(_judged(finding, test, request), before, request)
        _hand_over(found, test, request)
        if found.control is None:
            _save(finding, found, request)
        end_of(found, test.settings.gate)()

    return end


@dataclass(frozen=True, slots=True)
class Test:
    """A prediction that is being measured, and what it is measured with.

    Attributes:
        measured: Activations that the store had measured when the test began.
        started: By the monotonic clock, in seconds.
        notes: Of its materials.
    """

    __test__ = False  # not a class of tests

    prediction: Prediction
    settings: Settings
    subject: Subject | None
    materials: Named
    plan: AnalysisPlan
    measured: int
    started: float
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> dict[str, Any]:
        """What the run fixes for every prediction."""
        load = self.settings.load
        arguments = {"template_args": dict(load.template_args)} if load.template_args else {}
        return {**asdict(self.settings.plan), "chat_template": load.chat_template, **arguments}

    @property
    def made(self) -> Made:
        """What decides whether its verdict can be compared with an earlier one."""
        return Made(self.prediction.claim_id, self.materials, self.plan, self.numbers)

    @property
    def cached(self) -> bool:
        """Whether every activation came from the store."""
        return self.subject is not None and self.subject.store.measured == self.measured


def _test(request: pytest.FixtureRequest) -> Test:
    started = time.monotonic()
    names = request.fixturenames
    subject: Subject | None = request.getfixturevalue("subject") if "subject" in names else None
    study: Study | None = request.getfixturevalue("study") if "study" in names else None
    settings = request.config.stash[settings_key]
    constants = {name: value for name, value in vars(request.module).items() if name.isupper()}
    cut = {"--budget": settings.plan.cut} if settings.plan.cut else {}
    return Test(
        prediction=prediction_of(request.node),
        settings=settings,
        subject=subject,
        materials=_materials(study) if study else Named("", {"hash": ""}),
        plan=plan_of({**constants, **suite_constants(), **cut}, request.module.__doc__ or ""),
        measured=subject.store.measured if subject else 0,
        started=started,
        notes=study.prompts.notes if study else (),
    )


def _materials(study: Study) -> Named:
    prompts = study.prompts
    shuffled = study.plan.shuffle_labels
    facts = {
        **({"labels shuffled": shuffled} if shuffled else {}),
        "hash": prompts.hash,
        "template_hash": prompts.template_hash,
        "n": prompts.count(),
        "pairs": len(prompts.pairs),
    }
    return Named(prompts.name, facts)


def _before(request: pytest.FixtureRequest, test: Test) -> Verdict | None:
    """The baseline's verdict on this prediction, refused now if it was made otherwise."""
    asked = test.prediction
    baseline = request.config.stash[baseline_key]
    if baseline is None or asked.control is not None:
        return None
    place = Place(
        model=asked.model,
        claim_id=asked.claim_id,
        prediction_id=asked.prediction_id,
        criterion=asked.criterion,
        materials=test.materials.name,
        measured=False,
    )
    before = earlier_verdict(place, baseline)
    if before is None or before.outcome is Outcome.NOT_MEASURED:
        return before
    found = differences(test.made, Made.of(before), shared=baseline.shared)
    if found:
        said = earlier(Match(not_measured(asked, "", ""), before), (), baseline, found)
        request.node.user_properties.append((REFUSED, json.dumps(said.to_json())))
        raise refuse(found, baseline)
    return before


def _judged(finding: Finding, test: Test, request: pytest.FixtureRequest) -> Verdict:
    asked, settings, subject = test.prediction, test.settings, test.subject
    outcome, reason = judge(finding, Criterion(asked.criterion))
    row = not_measured(asked, reason, request.config.stash[run_key].run_id)
    return replace(
        row,
        outcome=outcome,
        model=Named.from_json(subject.record()) if subject else row.model,
        materials=test.materials,
        evidence=finding.evidence,
        controls=finding.controls,
        gates=finding.gates,
        components=ComponentSummary.of(finding.components),
        notes=(*settings.plan.notes, *test.notes, *finding.notes),
        plan=test.plan,
        provenance={
            **row.provenance,
            "device": settings.load.device,
            **test.numbers,
            "batch_size": settings.load.batch_size or "auto",
        },
        seconds=round(time.monotonic() - test.started, 3),
        cached=test.cached,
        severity=finding.severity,
        stage=settings.stage(asked.model),
    )


def _compared(found: Verdict, before: Verdict | None, request: pytest.FixtureRequest) -> Verdict:
    """The verdict with what the baseline says; how far effects moved is added at the run's end."""
    baseline = request.config.stash[baseline_key]
    if baseline is None or found.control is not None:
        return found
    return replace(found, baseline=earlier(Match(found, before), (), baseline))


def _hand_over(found: Verdict, test: Test, request: pytest.FixtureRequest) -> None:
    """Send the verdict to the controller, and keep it if it is on a reference model."""
    settings, record = test.settings, found.to_json()
    reference = reference_model_of(request.node)
    if reference is not None and settings.cache != "off":
        verdicts = settings.stored_verdicts
        verdicts.save(reference, test.prediction.to_json(), request.path, record)
    properties = request.node.user_properties
    # Not record_property: it warns under --junitxml's default family.
    properties.append((VERDICT, json.dumps(record, allow_nan=False)))
    if test.subject is not None:
        store = test.subject.store
        properties += [(CACHE_NOTE, note) for note in (*store.damaged, *store.problems)]


def _save(finding: Finding, found: Verdict, request: pytest.FixtureRequest) -> None:
    """Write what the report draws, where the prediction ran."""
    run = request.config.stash[run_key]
    common = {
        "model": found.model.name,
        "materials": found.materials.name,
        "claim_id": found.claim_id,
        "criterion": str(found.criterion),
        "prediction_id": found.prediction_id,
    }
    _save_answers(request)
    encoder_layers = int(found.model.facts.get("encoder_layers", 0))
    run.save_components(finding.tables, encoder_layers, **common)
    run.save_samples(finding.samples, **common)
    run.save_plots(finding.plots, **common)


def _save_answers(request: pytest.FixtureRequest) -> None:
    """Write what the model was asked since the last prediction; a set that is written is forgotten.

    Workers may write the same set; it stands once in the run's file.
    """
    if "subject" not in request.fixturenames:
        return
    from harness.plugin.answers import answers_frame  # noqa: PLC0415 - no model, no answers

    subject: Subject = request.getfixturevalue("subject")
    run = request.config.stash[run_key]
    for answered in subject.answered.values():
        run.save_answers(answers_frame(subject, answered), answered.prompts.hash)
    subject.answered.clear()
