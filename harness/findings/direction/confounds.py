"""What tells the classes of a set apart without a model, beside a separation of the same prompts.

The measures are those of `python -m harness prompts check`. Lengths are left out: the finding
counts the model's own tokens.
"""

from collections.abc import Sequence

from harness.materials.files.confounds import Auc, Confound, confounds_of
from harness.materials.files.word_confound import words_auc
from harness.study.study import Study
from harness.verdicts.evidence import Control


def confounds(study: Study) -> list[Confound]:
    """Every measure that clearly tells the two tasks apart, the strongest first."""
    found = [row for row in confounds_of(study.prompts) if not row.name.startswith("length")]
    words = _words(study)
    if words is not None:
        found.append(Confound("words", "", Auc(words), {}))
    return sorted((row for row in found if row.auc.clear), key=lambda row: -row.auc.value)


def _words(study: Study) -> float | None:
    """AUC of a classifier of words; in the store, because the library that fits it is slow."""

    def fit() -> dict[str, float | None]:
        found = words_auc(study.prompts)
        return {"auc": None if found is None else found.value}

    key = {
        "kind": "words of a file",
        "features": study.subject.identity["features"],
        "materials": study.prompts.hash,
    }
    stored: float | None = study.subject.store.fetch_json(key, fit)["auc"]
    return stored


def confound_controls(found: Sequence[Confound], least: float) -> tuple[Control, ...]:
    """One control for each: it behaves if it does not separate the classes as the claim asks."""
    return tuple(
        Control(
            f"{row.name.removesuffix(' alone')} alone",
            row.auc.value,
            row.auc.value < least,
            note=f"AUC{f', more in {row.greater}' if row.greater else ''}; needed {least:g}",
        )
        for row in found
    )


def confounds_note(found: Sequence[Confound], length: float) -> str:
    """What is said beside the verdict, the strongest first."""
    each = [("prompt length", length)]
    each += [(row.name.removesuffix(" alone"), row.auc.value) for row in found]
    each.sort(key=lambda row: -row[1])
    told = ", ".join(f"{name} (AUC {value:.2f})" for name, value in each)
    return (
        f"confounds: without a model these classes are told apart by {told}; on the same prompts "
        "an AUC says something about the model only beyond them"
    )
