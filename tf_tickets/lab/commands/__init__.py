"""The commands: find, compare, transfer; each parses, runs and shows."""
