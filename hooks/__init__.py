"""Push checks: one policy, one file, one function."""
