"""Learners with a memory that reads a stream."""
