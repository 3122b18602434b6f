"""Directions that separate two tasks (h7)."""
