"""The model as the rest of the suite sees it; nnsight and transformers live here and nowhere else.

`model` is the front. `loading` opens a model and `architectures` says where its parts are;
`encoders` and `encoder_decoders` are for those that are no decoders, `answers` for their answers;
`encoding`, `prefix_sharing` and `batching` make batches of prompts; `extraction`, `scoring`,
`sweep`, `attribution` and `generation` measure; `checks` tests that the instrument is right.
"""

import gc

# The libraries loaded here stay: half a million objects of torch and transformers. A search through
# them for what can be freed would cost a sixth of the time now, and seconds whenever a twin goes.
collected = gc.isenabled()
gc.disable()

from harness.adapter.checks import SelfCheck  # noqa: E402
from harness.adapter.model import Model  # noqa: E402
from harness.models.specs import LoadOptions  # noqa: E402

__all__ = ["LoadOptions", "Model", "SelfCheck"]

gc.freeze()
if collected:
    gc.enable()
