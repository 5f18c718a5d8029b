"""Tests of state: tensors that sessions keep from run to run."""
