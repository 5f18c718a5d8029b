"""Tests of the demo site's parts; `make demo CHECK=1` tries the whole in Chromium."""
