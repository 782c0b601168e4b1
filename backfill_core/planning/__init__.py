"""Deciding what to do: pure functions from what was found to a plan."""
