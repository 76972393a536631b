"""Games between two or more players."""
