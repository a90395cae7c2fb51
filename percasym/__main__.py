"""`python -m percasym` is the command `percasym`."""

from flows.cli import main

main()
