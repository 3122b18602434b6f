"""The files of the claims, for their constants and their rules."""

import importlib.util
from functools import cache
from types import ModuleType

from harness.files import DATA


@cache
def claim_module(claim_id: str) -> ModuleType:
    """The file of a claim, such as h5, as a module."""
    (file,) = (DATA / "hypotheses").glob(f"test_{claim_id}_*.py")
    spec = importlib.util.spec_from_file_location(f"claim_{claim_id}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be read.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
