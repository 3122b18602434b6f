"""Where a running model can be edited, and how, as values."""
