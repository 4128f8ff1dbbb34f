"""What arrives from outside, made up by machines."""
