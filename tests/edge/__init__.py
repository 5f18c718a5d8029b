"""Tests of packs in hosts that know nothing of pyruntime: the example in C++."""
