"""The commands: find, compare, transfer, reproduce, page; each parses, runs and shows."""
