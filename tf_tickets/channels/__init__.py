"""Channels: which live together, which may go, and the smaller model without them."""
