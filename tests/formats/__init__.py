"""Packs as earlier versions wrote them, which every later one goes on reading."""
