"""Verdicts on recall versus reasoning in transformers: the instrument behind `pytest hypotheses/`.

`harness.load_verdicts(path)` gives the verdicts of a run as a pandas DataFrame. It is looked up
on first use, so that `import harness` loads nothing heavy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.verdicts.table import load_verdicts as load_verdicts

__all__ = ["load_verdicts"]


def __getattr__(name: str) -> Any:
    if name == "load_verdicts":
        from harness.verdicts.table import load_verdicts  # noqa: PLC0415 - imported on first use

        return load_verdicts
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
