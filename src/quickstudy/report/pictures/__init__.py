"""What learners draw of themselves: one file per subject."""
