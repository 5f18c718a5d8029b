"""Tests of what the benchmarks stand on; speed itself is no test."""
