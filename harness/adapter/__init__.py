"""The model as the rest of the suite sees it; nnsight and transformers live here and nowhere else.

`model` is the front. `loading` opens a model and `architectures` says where its parts are;
`encoders` and `encoder_decoders` are for those that are no decoders, `answers` for their answers;
`encoding`, `prefix_sharing` and `batching` make batches of prompts; `extraction`, `scoring`,
`sweep`, `attribution` and `generation` measure; `checks` tests that the instrument is right.
"""

import gc

from harness.adapter.checks import SelfCheck
from harness.adapter.model import Model
from harness.models.specs import LoadOptions

__all__ = ["LoadOptions", "Model", "SelfCheck"]

# The libraries just loaded stay. Twins are freed one by one, and each time a search through half a
# million objects of torch and transformers would cost seconds.
gc.freeze()
