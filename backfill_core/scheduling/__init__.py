"""Deciding what may start, and how it is grouped into calls."""
