"""Tests of the npm package as its users install, type-check, bundle and serve it."""
