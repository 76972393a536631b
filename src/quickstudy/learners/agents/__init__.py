"""Learners that act: reinforcement learning and games."""
