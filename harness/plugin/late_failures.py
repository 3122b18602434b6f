"""Failures that only the end of a run shows, as failed tests: JUnit's file has them too.

Effects are compared once all are measured, and what is missing is known once all have run.
"""

from collections.abc import Iterator, Mapping

import pytest

from harness.compare.changes import gone, supported
from harness.compare.matching import Place, place_of
from harness.compare.text import change_line
from harness.plugin.run import Run
from harness.verdicts.earlier import Change


def failed_test(node_id: str, reason: str) -> pytest.TestReport:
    """The report of a test of this name that failed for this reason."""
    file, _, name = node_id.partition("::")
    try:
        pytest.fail(reason, pytrace=False)
    except pytest.fail.Exception:
        said = pytest.ExceptionInfo.from_current().getrepr(style="value")
    return pytest.TestReport(node_id, (file, None, name or file), {}, "failed", said, "call")


def weaker_effects(run: Run, node_ids: Mapping[Place, str]) -> Iterator[pytest.TestReport]:
    """A failed test for each verdict that is supported by a weaker effect than in the baseline.

    Args:
        run: Finished, with a baseline.
        node_ids: Of its predictions.
    """
    for verdict in run.verdicts:
        earlier = verdict.baseline
        if earlier is not None and earlier.change is Change.WEAKER:
            file, _, name = node_ids[place_of(verdict)].partition("::")
            told = change_line(verdict, earlier)
            yield failed_test(f"{file}::against {earlier.name}::{name}", told)


def gone_predictions(run: Run) -> Iterator[pytest.TestReport]:
    """One failed test for all predictions that the baseline supports and this run does not have.

    Args:
        run: Finished.
    """
    if run.baseline is None:
        return
    missed = supported(gone(run.verdicts, run.baseline))
    if missed:
        name = run.baseline.past.name
        listed = (f"  {v.model.name} {v.claim_id} {v.criterion} {v.prediction}" for v in missed)
        yield failed_test(
            f"against {name}",
            f"{len(missed)} predictions that {name} supports are not in this run (if you left "
            "them out on purpose, add --allow-gone):\n" + "\n".join(listed),
        )
