"""What to run and running it: the study, its cells, the label seal, the runner."""
