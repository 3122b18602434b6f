"""What ablating a circuit costs (h5, h6, h8)."""
