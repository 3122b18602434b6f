"""What a circuit is compared with: random sets, and circuits of questions of one process."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.circuits.circuits import Circuit, matched_sets
from harness.findings.processes.circuit_search import Search
from harness.findings.processes.kinds import cell_of
from harness.materials.items import PromptSet
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.severity import Severity


def same_process_rows(
    prompts: PromptSet, cell: str, draws: int, seed: int
) -> list[list[np.ndarray]]:
    """Rows of one cell in random halves of its relations: a difference of questions alone."""
    generator = np.random.default_rng(seed)
    asked = np.array([cell_of(item) == cell for item in prompts.items])
    relation = np.array([item.relation for item in prompts.items])
    names = np.unique(relation[asked])
    found = []
    for _ in range(draws):
        half = set(generator.permutation(names)[: len(names) // 2].tolist())
        inside = np.isin(relation, list(half))
        found.append([asked & inside, asked & ~inside])
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """A circuit and the others, measured alike, on fewer stories than the circuit is judged on.

    Attributes:
        value: What is compared, of the judged circuit.
        random: The same of random sets; there may be none.
        same: The same of circuits that the search finds between questions of one process.
        meets: Which of these cost and spare as the claim asks.
    """

    value: float
    random: Float[np.ndarray, " draw"]
    same: Float[np.ndarray, " circuit"]
    meets: Bool[np.ndarray, " circuit"]

    @classmethod
    def of(
        cls, values: Float[np.ndarray, " set"], meets: Bool[np.ndarray, " set"], random: int
    ) -> "Compared":
        """From the numbers of all sets: the judged one, random ones, circuits of one process.

        Args:
            values: What is compared.
            meets: Which cost and spare as the claim asks; only those of one process are read.
            random: How many sets are random.
        """
        judged, drawn, same = np.split(values, [1, 1 + random])
        return cls(float(judged[0]), drawn, same, meets[1 + random :])

    @property
    def severity(self) -> Severity:
        """How many circuits between questions of one process the claim's bars let pass."""
        return Severity.of(self.meets)


def beyond_others(
    name: str,
    compared: Compared,
    *,
    alpha: float,
    key: str,
    what: tuple[str, str] = ("random sets", "circuits between questions of one process"),
    unit: str = "share of the logit difference",
) -> Evidence:
    """The requirement that a value lie beyond those of other circuits, by rank among all of them.

    Args:
        name: Of the evidence.
        compared: The values.
        alpha: Of the rank.
        key: Of the evidence.
        what: The random ones and those of one process, in words that follow their number.
        unit: Of the values.
    """
    drawn = (compared.random, compared.same)
    null = np.concatenate(drawn)
    test = stats.exceedance(compared.value, null)
    said = (
        f"{len(draws)} {words} (at most {draws.max():.2f})" if len(draws) else f"0 {words}"
        for draws, words in zip(drawn, what, strict=True)
    )
    return Evidence(
        name,
        Effect(
            unit,
            compared.value,
            method=f"95th percentile of {' and '.join(said)}",
        ),
        threshold=float(test.quantile),
        relation=">",
        p_adjusted=float(test.p),
        alpha=alpha,
        floor=float(test.floor),
        n=len(null),
        key=key,
    )


def other_circuits(
    search: Search, circuit: Circuit, cell: str
) -> tuple[list[Circuit], list[Circuit]]:
    """What a circuit is compared with: random sets and same-process circuits, all of its size.

    A same-process circuit costs some questions and spares others. Without that a search between
    halves that hardly differ would find what both need: the circuit of the process itself.

    Args:
        search: That found it; its rule says how many of each sort there are, at most.
        circuit: The judged one.
        cell: Its target: the others are found between questions of this cell.
    """
    draws, seed = search.rule.draws, search.study.plan.seed
    random = matched_sets(circuit, search.layers, search.width, draws, draws, seed)
    same = [
        search.ranking(rows, sparing=True).top(len(circuit))
        for rows in same_process_rows(search.prompts, cell, draws, seed)
    ]
    return list(random.circuits), same
