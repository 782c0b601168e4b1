"""A user's project: its root, its settings, its files."""
