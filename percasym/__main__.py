"""`python -m percasym` is the command `percasym`, wherever that is: the library knows no command line."""

from importlib.metadata import entry_points

next(iter(entry_points(group="console_scripts", name="percasym"))).load()()
