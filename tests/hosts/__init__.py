"""Tests of what every host must give alike."""
