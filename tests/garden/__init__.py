"""The model garden: small folders against a plain NumPy model, and real ones where they are there."""
