"""What all tests of the calibration share."""

import pytest

from harness.calibration import simulated


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Every record has simulated power; how much of it there is does not matter here."""
    monkeypatch.setattr(simulated, "DRAWS", 1)
