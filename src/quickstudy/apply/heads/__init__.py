"""Heads on features that an encoder found: each is fitted to few labelled rows, and most are linear maps."""
