"""Fixtures of these tests."""

from tests.formats.fixtures import formats

__all__ = ["formats"]
