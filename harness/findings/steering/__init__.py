"""Directions added to and projected out of the stream (h7)."""
