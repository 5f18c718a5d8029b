"""Measures a pack step by step beside what its engine can do at most, here or in a browser."""
