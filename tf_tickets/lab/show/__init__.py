"""What is seen of a run: progress, tables, figures and sentences, drawn from its folder alone."""
