"""The block of sums that matrix products and convolutions compute at a time, before the epilogue."""

from pyruntime.ir.dtypes import DType

ROWS = 48  # their part of the left matrix stays in L2
COLUMNS = 128
WIDE = 512  # the same where the left matrix is copied for a block
BYTES = ROWS * COLUMNS * DType.F64.bytes  # of the largest sums
SLACK = 64  # vector copies may write past what they fill
