"""Calibrations in tests are made in seconds."""

import pytest

from harness.calibration import simulated


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    """Every record has simulated power; how much of it there is does not matter here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(simulated, "DRAWS", 1)
        yield
