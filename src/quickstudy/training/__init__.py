"""Training and evaluation, and the folder a run is kept in."""
