"""What a prediction is called in its record: known before anything is measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.verdicts.verdict import Known


@dataclass(frozen=True, slots=True)
class Prediction:
    """A test of a hypothesis file, on one model and one set of materials.

    Attributes:
        claim_id: From the file's name, such as `h2`; `claim` is the first line of its docstring.
        prediction_id: From the function's name; `prediction` is the first line of its docstring.
        model, materials: As the user named them; empty where the test asks for none.
        control: What the verdict must be, on a reference model.
        part: Which part of the claim it is about, where the claim states several things.
        primary: Whether the claim stands on it.
    """

    claim_id: str
    claim: str
    prediction_id: str
    prediction: str
    criterion: str
    model: str
    materials: str
    control: Known | None = None
    part: str = ""
    primary: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the way to the controller."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Prediction":
        """Back from `to_json`."""
        known = record["control"]
        return replace(cls(**record), control=None if known is None else Known(**known))
