"""Models as people name them, and what can be known of one without loading it."""
