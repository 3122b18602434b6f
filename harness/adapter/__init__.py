"""The model as the rest of the suite sees it; nnsight and transformers live here and nowhere else.

`loading` opens a model, `sites` says where things are in it, `lines` and `encoding` make batches of
prompts, `extraction` and `scoring` measure, `checks` tests the instrument, `model` is the front.
"""

import gc

from harness.adapter.checks import SelfCheck
from harness.adapter.model import Model
from harness.models.specs import LoadOptions

__all__ = ["LoadOptions", "Model", "SelfCheck"]

# The libraries just loaded stay. Twins are let go of one by one, and looking through half a
# million objects of torch and transformers each time costs seconds a run.
gc.freeze()
