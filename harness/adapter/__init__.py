"""The model as the rest of the suite sees it; nnsight and transformers live here and nowhere else.

`loading` opens a model, `sites` says where things are in it, `encoding` makes batches of
prompts, `extraction` and `scoring` measure, `checks` tests the instrument, `model` is the front.
"""

from harness.adapter.checks import SelfCheck
from harness.adapter.model import Model
from harness.models import LoadOptions

__all__ = ["LoadOptions", "Model", "SelfCheck"]
