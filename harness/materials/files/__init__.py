"""People's own prompt files: read, checked, crossed."""
