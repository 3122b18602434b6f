"""All benchmarks are timed by CPU time, in groups of what is to be compared."""

import pytest

from benchmarks.interleaved import CLOCK


def pytest_collection_modifyitems(items):
    for item in items:
        if "benchmark" in item.fixturenames:
            item.add_marker(pytest.mark.benchmark(timer=CLOCK))
