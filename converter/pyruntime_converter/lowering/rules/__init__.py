"""Lowering rules: one function per op, one file per family."""
