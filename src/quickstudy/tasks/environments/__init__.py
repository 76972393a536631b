"""Tasks to act in."""
