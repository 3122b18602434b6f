"""Load the harness plugin and the shared fixtures."""

pytest_plugins = (
    "harness.plugin.hooks",
    "harness.plugin.fixtures",
    "pytester",
)
