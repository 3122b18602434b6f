"""Prompt files of users: reading, checking, crossing."""
