"""What each weight is worth keeping, a score by each file."""
