"""From a model file to a pack: front ends, passes, lowering and pack building."""
