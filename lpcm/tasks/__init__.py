"""Tasks: what is fitted, what is predicted, how it is scored. Importing this imports nothing heavy."""
