"""What an installed copy brings into every pytest run: it loads the plugin after all others.

The plugin comes last so that a conftest file or another plugin may have an option of the same name
(see `harness.plugin.options`). In a checkout the root conftest.py has loaded it already.
"""

import pytest

PLUGINS = ("harness.plugin.hooks", "harness.plugin.fixtures")


@pytest.hookimpl(trylast=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Load the plugin, if no conftest file did."""
    for name in PLUGINS:
        early_config.pluginmanager.import_plugin(name)
