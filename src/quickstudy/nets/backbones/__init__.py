"""Networks that embed or predict: what most learners start from."""
