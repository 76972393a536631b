"""Learners that sample solvers, or tasks, from a generator."""
