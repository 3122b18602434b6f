"""What tests of several folders share."""

import pytest

from tests.support import tiny_models


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Load a tiny random model of an architecture, once a module."""
    from harness.adapter import Model
    from harness.models.specs import LoadOptions, resolve

    loaded = {}

    def load_once(kind):
        if kind not in loaded:
            folder = tiny_models.save(tmp_path_factory.mktemp(kind), kind)
            loaded[kind] = Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
        return loaded[kind]

    return load_once
