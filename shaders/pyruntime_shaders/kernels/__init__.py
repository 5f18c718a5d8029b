"""One module per kernel template, found by name; each has `prepare(call) -> list[Kernel]`.

Those with a choice of patches take one as `prepare(call, patch)`, and list what there is as `patches(call)`.
"""
