"""The searches for tickets, and the controls that make their claims honest."""
