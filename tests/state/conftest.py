"""Fixtures of these tests."""

from tests.packs.fixtures import packs
from tests.state.fixtures import stateful

__all__ = ["packs", "stateful"]
