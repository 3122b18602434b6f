"""On the controller: verdicts on their way to disk, and what the terminal says at the end."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.compare.matching import Place, place_of
from harness.compare.past import keep
from harness.compare.text import against_lines
from harness.foreign import printable
from harness.plugin.hooks import PREDICTION
from harness.plugin.late_failures import failed_test, gone_predictions, weaker_effects
from harness.plugin.prediction import Prediction
from harness.plugin.run import Run, not_measured
from harness.plugin.settings import settings_key
from harness.plugin.stopping import let_finish
from harness.report.instrument import by_claim, instrument_checks
from harness.verdicts.earlier import Earlier
from harness.verdicts.judge import Outcome
from harness.verdicts.primaries import primaries_of
from harness.verdicts.verdict import Known, Stage, Verdict

# Names of user properties; `hooks.PREDICTION` is another.
VERDICT, CACHE_NOTE, REFUSED = "verdict", "cache", "refused"

run_key = pytest.StashKey[Run]()


class Collector:
    """On the controller: write verdicts as they fall, and the report at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.run = config.stash[run_key]
        self.against = config.stash[settings_key].against
        self.kept = ""
        self.written: Path | None = None
        self.cache_notes: dict[str, None] = {}
        self.failure = ""
        self.interrupted = False
        self.node_ids: dict[Place, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict out of a finished test, local or from a worker."""
        properties = dict(report.user_properties)
        self.cache_notes |= {
            str(v): None for name, v in report.user_properties if name == CACHE_NOTE
        }
        if PREDICTION not in properties:
            return
        if report.when == "call" and VERDICT in properties:
            verdict = Verdict.from_json(json.loads(str(properties[VERDICT])))
            self.node_ids[place_of(verdict)] = report.nodeid
            self._add(verdict)
        elif (report.when == "call" and not report.passed) or (
            report.when == "setup" and not report.passed
        ):
            prediction = Prediction.from_json(json.loads(str(properties[PREDICTION])))
            row = not_measured(prediction, _reason(report), self.run.run_id)
            if REFUSED in properties:
                said = Earlier.from_json(json.loads(str(properties[REFUSED])))
                row = replace(row, baseline=said)
            self._add(row)

    def _add(self, verdict: Verdict) -> None:
        """Keep a verdict; a full disk is no reason to lose the run."""
        try:
            self.run.add(verdict)
        except OSError as error:
            self.failure = f"{type(error).__name__}: {error}"

    @pytest.hookimpl(tryfirst=True)  # before the terminal writes out what each function was given
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep the place alone: every array on the way to it takes longer than the report."""
        if not self.config.option.fulltrace:
            excinfo.traceback = excinfo.traceback[-1:]

    @pytest.hookimpl(tryfirst=True)  # before JUnit's file is written
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write what there is, also after Ctrl-C; keep a whole run as a baseline."""
        whole = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        whole = whole and not (session.shouldstop or session.shouldfail)
        let_finish(self.config)
        self.interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        try:
            self.written = self.run.finish(stopped=not whole)
        except Exception as error:  # the verdicts are on disk; say why the report is not
            self.failure = f"{type(error).__name__}: {error}"
        failed = list(self._late_failures(whole))
        for late in failed:
            session.testscollected += 1
            self.config.hook.pytest_runtest_logreport(report=late)
        if failed and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.against.keep_as is None:
            return
        self.kept = (
            self._keep(self.against.keep_as)
            if self.written is not None and whole
            else f"no baseline {self.against.keep_as!r} was saved: the run is not whole"
        )

    def _late_failures(self, whole: bool) -> Iterator[pytest.TestReport]:
        """What fails the run though no test of it did."""
        if self.failure:  # without a report the run has failed, whatever its verdicts are
            yield failed_test("report", f"the report could not be written ({self.failure})")
        if self.config.stash[settings_key].gate == "regressions":
            yield from weaker_effects(self.run, self.node_ids)
            if whole and not self.against.allow_gone:
                yield from gone_predictions(self.run)

    def _keep(self, name: str) -> str:
        try:
            return f"saved as baseline: {keep(self.run.folder, name, self.against.folder)}"
        except Exception as error:
            return f"no baseline {name!r} was saved: {type(error).__name__}: {error}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line a verdict, and where the report is."""
        if self.run.controls:
            terminalreporter.section("reference models")
            checks = instrument_checks(self.run.controls)
            for line in (*reference_lines(self.run.controls), *by_claim(checks)):
                terminalreporter.write_line(line)
        if not self.run.verdicts:
            self._say_unjudged(terminalreporter)
            return
        terminalreporter.section("verdicts")
        for line in (
            *summary_lines(self.run.verdicts),
            *primaries_of(self.run.verdicts).lines(),
            *stage_lines(self.run.verdicts),
        ):
            terminalreporter.write_line(printable(line))
        if self.run.baseline is not None:
            terminalreporter.section(f"against {self.run.baseline.past.name}")
            for line in against_lines(self.run.verdicts, self.run.baseline):
                terminalreporter.write_line(printable(line))
        for note in self.cache_notes:
            terminalreporter.write_line(f"cache: {note}", yellow=True)
        if self.written is not None:
            terminalreporter.write_line(f"\nreport: {self.written}")
            if self.run.replaced:
                terminalreporter.write_line(f"it replaced the report of {self.run.replaced}")
            if self.run.card is not None:
                terminalreporter.write_line(f"model card: {self.run.card}")
        if self.kept:
            terminalreporter.write_line(self.kept)
        if self.failure:
            folder = self.run.folder
            terminalreporter.write_line(
                f"\nthe report could not be written ({self.failure}); "
                f"the verdicts are in {folder} as far as they could be written; once the cause is "
                f"gone (a full disk?), `python -m harness report {folder}` writes it again",
                red=True,
            )

    def _say_unjudged(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One sentence where the run was stopped before it could say anything of a model."""
        if not self.interrupted:
            return
        report, stored = self.run.report, self.config.stash[settings_key].cache != "off"
        terminalreporter.write_line(
            "\nstopped before the first verdict: nothing is judged yet and no report was written"
            + (f" ({report} is that of an earlier run)" if report.exists() else "")
            + ("; what was measured is stored, the same command goes on from it" if stored else "")
        )


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # a skip: path, line, reason
        return str(report.longrepr[2])
    lines = [line for line in str(report.longrepr).splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors or lines or ["no reason given"])[0]


def _was(verdict: Verdict) -> str:
    """What the baseline says, where it says something else."""
    earlier = verdict.baseline
    if earlier is None or not earlier.comparable or earlier.outcome is verdict.outcome:
        return ""
    return f"  [was {earlier.outcome}]"


def reference_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Of each reference model, how many verdicts are as known, and those that are not."""
    by_model: dict[str, list[tuple[Verdict, Known]]] = {}
    for verdict in verdicts:
        if verdict.control is not None:
            by_model.setdefault(verdict.model.name, []).append((verdict, verdict.control))
    lines = []
    for name, own in by_model.items():
        missed = [(v, known) for v, known in own if not known.met_by(v.outcome)]
        role = own[0][1].role
        undecided = sum(known.met_undecided(v.outcome) for v, known in own)
        of_these = f" ({undecided} of them undecided)" if undecided else ""
        right = len(own) - len(missed)
        lines.append(f"{name} ({role}): {right} of {len(own)} verdicts as known{of_these}")
        lines += [
            f"  {v.outcome}, known to be {known.expected}: {v.claim_id} {v.prediction}: {v.reason}"
            for v, known in missed
        ]
    return lines


def stage_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Which models the plan was tuned on, so that their verdicts confirm nothing."""
    tuned = dict.fromkeys(v.model.name for v in verdicts if v.stage is Stage.EXPLORATORY)
    return [f"exploratory, because the plan was tuned on them: {', '.join(tuned)}"] if tuned else []


def _severity(verdict: Verdict) -> str:
    """What stands beside a supported verdict: how often the same rule supports a single process."""
    if verdict.outcome is not Outcome.SUPPORTED or verdict.severity is None:
        return ""
    return f"  ({verdict.severity})"


def summary_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """The table of the terminal: a line a verdict, grouped by model."""
    in_order = sorted(verdicts, key=lambda v: (v.model.name, v.claim_id, v.criterion))
    on: dict[tuple[str, str, str], set[str]] = {}
    for v in verdicts:
        on.setdefault(_asked(v), set()).add(v.materials.name)
    return [
        f"{v.outcome:<13}{v.model.name:<12} {v.claim_id:<3} {v.criterion:<11}"
        f"{f'on {v.materials.name}: ' if len(on[_asked(v)]) > 1 else ''}"
        f"{v.prediction}  {v.deciding.plain}{_severity(v)}{_was(v)}"
        for v in in_order
    ]


def _asked(verdict: Verdict) -> tuple[str, str, str]:
    """A prediction on a model, whatever the materials."""
    return verdict.model.name, verdict.claim_id, verdict.prediction_id
