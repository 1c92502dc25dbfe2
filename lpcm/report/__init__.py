"""Tables for people, made from result rows and from nothing else."""
