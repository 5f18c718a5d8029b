"""Fixtures of these tests."""

from tests.packs.fixtures import damaged, packs

__all__ = ["damaged", "packs"]
