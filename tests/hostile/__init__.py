"""Damaged and hostile model files: each converts or is refused by a typed error, in time."""
