"""One module per kernel template, found by name; each has `prepare(call) -> list[Kernel]`."""
