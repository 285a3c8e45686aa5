"""The commands: find, compare, transfer, reproduce; each parses, runs and shows."""
