"""How hard the stories of the cells are to answer."""

import re
from dataclasses import dataclass

from harness.materials.items import MaterialsError

TOLD, SHUFFLED = "told", "shuffled"
MOST_CHAINS, MOST_STEPS = 6, 4


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The setting of a story; part of a set's name, and so of its hash.

    Attributes:
        shots: Solved questions before the one that is asked, a multiple of the chains: each
            answer of the story is demonstrated equally often, since small models repeat what was
            answered most.
        chains: Chains of a story, and so answers to choose from.
        order: `told`, each chain from its holder to its answer, or `shuffled` premises.
        steps: Premises that a reasoning question needs.

    Raises:
        MaterialsError: If there is no such setting.
    """

    shots: int = 3
    chains: int = 3
    order: str = TOLD
    steps: int = 2

    def __post_init__(self) -> None:
        if not 2 <= self.chains <= MOST_CHAINS:
            raise MaterialsError(f"--chains {self.chains}: expected 2 to {MOST_CHAINS}.")
        if not 2 <= self.steps <= MOST_STEPS:
            raise MaterialsError(f"--steps {self.steps}: expected 2 to {MOST_STEPS}.")
        if self.order not in (TOLD, SHUFFLED):
            raise MaterialsError(f"--order {self.order!r}: expected {TOLD} or {SHUFFLED}.")
        # More would ask, solved, what is asked later.
        most = self.chains if self.chains == 2 else 2 * self.chains
        if self.shots % self.chains or not 0 <= self.shots <= most:
            known = ", ".join(map(str, range(0, most + 1, self.chains)))
            raise MaterialsError(
                f"--shots {self.shots} with --chains {self.chains}: every answer is demonstrated "
                f"equally often; expected one of {known}."
            )

    def __str__(self) -> str:
        return f"chains{self.chains}-shots{self.shots}-{self.order}-steps{self.steps}"


def parse_difficulty(text: str) -> Difficulty:
    """The setting that a set's name ends in, as `str` writes it.

    Raises:
        MaterialsError: If the text is none.
    """
    found = re.fullmatch(r"chains(\d+)-shots(\d+)-([a-z]+)-steps(\d+)", text)
    if not found:
        raise MaterialsError(f"{text!r} is no difficulty; expected one like {Difficulty()}.")
    chains, shots, order, steps = found.groups()
    return Difficulty(int(shots), int(chains), order, int(steps))
