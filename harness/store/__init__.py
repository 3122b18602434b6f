"""Measured arrays on disk, found again by what they were measured from."""
