"""What a person uses: trained learners at work."""
