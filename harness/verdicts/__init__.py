"""Evidence, findings, verdicts and their records on disk."""
