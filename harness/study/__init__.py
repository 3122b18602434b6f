"""What a prediction asks of a model on a set of materials, measured once and stored."""
