"""Tests of the Python runtimes."""
