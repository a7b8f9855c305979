"""The case store: rings, cases, verdicts and who looked at what, in SQLite or PostgreSQL."""
