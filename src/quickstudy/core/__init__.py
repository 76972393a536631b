"""What every learner stands on."""
