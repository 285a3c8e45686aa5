"""Tickets: masks, the weights that their survivors start from, and how they move."""
