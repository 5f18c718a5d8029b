"""One module per kernel template, found by the call's `template`; each has `prepare(call) -> list[Kernel]`."""
