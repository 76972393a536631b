"""Heads on features that an encoder found: each fits few labelled rows; most are linear maps of transformed features."""
