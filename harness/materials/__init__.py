"""Materials: items, facts, stories, the named prompt sets, and people's own files."""
