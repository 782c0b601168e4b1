"""From what is expected of a table to the few questions that tell, and their SQL."""
