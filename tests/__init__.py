"""The tests of pyruntime; README.md beside this file says which need what."""
