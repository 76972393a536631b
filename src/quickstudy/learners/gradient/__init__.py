"""Learners that adapt by steps of an update rule from a learned start."""
