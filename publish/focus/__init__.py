"""`publish focus`: cost and usage in the columns of FOCUS."""
