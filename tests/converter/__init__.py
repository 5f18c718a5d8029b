"""Tests of the converter: front-end graphs through passes, lowering and pack building."""
