"""Tests of op definitions, scalar trees, the reference executor, dims and the builder."""
