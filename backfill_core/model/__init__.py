"""What authors declare, and the units that follow from it."""
