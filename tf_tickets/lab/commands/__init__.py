"""The commands: find, compare, transfer, page; each parses, runs and shows."""
