"""`python -m pyruntime`: the command line, where scripts are not on PATH."""

from pyruntime.cli import main

main()
