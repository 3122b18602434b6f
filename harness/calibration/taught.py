"""Networks that are taught a program: where they are written, and by what recipe."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from harness.calibration.recovery import CIRCUIT
from harness.calibration.running import run_environment
from harness.files import DATA
from harness.models.recipes import fault_of
from harness.models.specs import ModelError

FOLDER = "programs"  # of a calibration's work folder
SCRIPT = "fixtures.training.interchange"
RECIPE = ("programs.py", "pairs.py", "exchange.py", "interchange.py")  # of fixtures/training
CIRCUITS, ANSWERS = "circuit", "answers"  # what a network was taught
BOTH = "+"  # in the name of a network that was taught two programs


@dataclass(frozen=True, slots=True)
class Network:
    """One of the networks.

    Attributes:
        program: That it was taught.
        seed: Of weights, of inputs, and of where the circuit lies.
        taught: `circuit`, or `answers` alone.
    """

    program: str
    seed: int
    taught: str = CIRCUITS

    def folder(self, work: Path) -> Path:
        """Where it is written; the recipe is part of the name, so that an old one is left."""
        recipe = hashlib.sha256()
        for name in RECIPE:
            recipe.update((DATA / "fixtures" / "training" / name).read_bytes())
        name = f"{self.program}-{self.taught}-{self.seed}-{recipe.hexdigest()[:8]}"
        return work / FOLDER / name

    def write(self, work: Path) -> None:
        """Teach it, in a process of its own, unless that was done.

        Raises:
            ModelError: If it could not be written.
        """
        folder = self.folder(work)
        if (folder / CIRCUIT).is_file():
            return
        asked = [self.program, "--seed", str(self.seed), "--out", str(folder)]
        alone = ["--answers-alone"] if self.taught == ANSWERS else []
        if fault := fault_of(SCRIPT, [*asked, *alone], run_environment()):
            raise ModelError(f"the program {self.program!r} could not be taught: {fault}")
