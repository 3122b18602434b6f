"""Rounds of a benchmark in turn with its peers: other load on the machine falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping

from pytest_benchmark.fixture import BenchmarkFixture

CLOCK = time.process_time  # CPU time: what others do on the machine is not counted
Work = Callable[[], object]


def beside(
    benchmark: BenchmarkFixture,
    work: Work,
    others: Mapping[str, Work] | None = None,
    rounds: int = 5,
) -> dict[str, float]:
    """Benchmark `work`, and before each of its rounds a round of each of the others.

    Returns:
        By name, how many times the other's time the work took, the median of the rounds' ratios;
        nothing under --benchmark-disable, where each runs once. Also in the benchmark's
        `extra_info`, as `times_NAME`.
    """
    others = others or {}
    took: dict[str, list[float]] = {name: [] for name in others}

    def first() -> None:
        for name, other in others.items():
            took[name].append(seconds(other))

    benchmark.pedantic(work, setup=first, rounds=rounds, iterations=1, warmup_rounds=1)
    if benchmark.disabled:
        return {}
    own = benchmark.stats.stats.data
    ratios = {
        name: statistics.median(
            mine / other for mine, other in zip(own, times[-rounds:], strict=True)
        )
        for name, times in took.items()
    }
    benchmark.extra_info.update({f"times_{name}": round(x, 3) for name, x in ratios.items()})
    return ratios


def seconds(work: Work) -> float:
    """How long it takes once."""
    start = CLOCK()
    work()
    return CLOCK() - start
