"""Which layers, heads and neurons differ between tasks (h1 to h4)."""
