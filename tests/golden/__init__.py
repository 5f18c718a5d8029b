"""Golden packs: every op case compiled to packs with inputs and expected outputs, run on every host."""
