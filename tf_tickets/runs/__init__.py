"""Run folders: stages that are whole or absent, the names of their files, and their records."""
