"""How hard the stories of the cells are to answer."""

import re
from dataclasses import dataclass

from harness.materials.items import MaterialsError
from harness.materials.relations import MADE_UP, MATCHED

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
        names: Of invented entities: `made-up`, or `matched` to known ones in their number of
            pieces under tokenizers that cut words.

    Raises:
        MaterialsError: If there is no such setting.
    """

    shots: int = 3
    chains: int = 3
    order: str = TOLD
    steps: int = 2
    names: str = MADE_UP

    def __post_init__(self) -> None:
        if not 2 <= self.chains <= MOST_CHAINS:
            raise MaterialsError(f"--chains {self.chains}: expected 2 to {MOST_CHAINS}.")
        if not 2 <= self.steps <= MOST_STEPS:
            raise MaterialsError(f"--steps {self.steps}: expected 2 to {MOST_STEPS}.")
        if self.order not in (TOLD, SHUFFLED):
            raise MaterialsError(f"--order {self.order!r}: expected {TOLD} or {SHUFFLED}.")
        if self.names not in (MADE_UP, MATCHED):
            raise MaterialsError(f"--names {self.names!r}: expected {MADE_UP} or {MATCHED}.")
        # More would ask, solved, what is asked later.
        most = self.chains if self.chains == 2 else 2 * self.chains
        if self.shots % self.chains or not 0 <= self.shots <= most:
            known = ", ".join(map(str, range(0, most + 1, self.chains)))
            raise MaterialsError(
                f"--shots {self.shots} with --chains {self.chains}: every answer is demonstrated "
                f"equally often; expected one of {known}."
            )

    def __str__(self) -> str:
        names = f"-{self.names}" if self.names != MADE_UP else ""
        return f"chains{self.chains}-shots{self.shots}-{self.order}-steps{self.steps}{names}"


def parse_difficulty(text: str) -> Difficulty:
    """The setting that a set's name ends in, as `str` writes it.

    Raises:
        MaterialsError: If the text is none.
    """
    setting = rf"chains(\d+)-shots(\d+)-([a-z]+)-steps(\d+)(?:-({MATCHED}))?"
    found = re.fullmatch(setting, text)
    if not found:
        raise MaterialsError(f"{text!r} is no difficulty; expected one like {Difficulty()}.")
    chains, shots, order, steps, names = found.groups()
    return Difficulty(int(shots), int(chains), order, int(steps), names or MADE_UP)
