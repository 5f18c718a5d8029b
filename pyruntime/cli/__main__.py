"""`python -m pyruntime.cli`, the same as the command `pyruntime`."""

from pyruntime.cli import main

main()
