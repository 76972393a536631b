"""Heads on features that an encoder found: each fits a few labelled rows and is a linear map of transformed features."""
