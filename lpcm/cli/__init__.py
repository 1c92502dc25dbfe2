"""The command line: one file a command. Parsing and listing import neither torch nor scikit-learn."""
