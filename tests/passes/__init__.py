"""Tests of graph rewrites: that each pattern is found in every form exporters write, and means the same."""
