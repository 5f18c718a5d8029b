"""Packs that tests run on every host, and what they must give."""
