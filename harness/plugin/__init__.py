"""The pytest plugin: hooks, options, fixtures, and how a prediction ends."""
