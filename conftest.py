"""Load the harness plugin and the shared fixtures."""

pytest_plugins = ("harness.plugin", "fixtures.studies", "fixtures.verdicts", "pytester")
