"""What brings the world in line with what is stored, and never waits for a person."""
