"""Learners that read the support set as a set or a sequence."""
