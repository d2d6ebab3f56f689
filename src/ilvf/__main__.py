"""`python -m ilvf` is the program `ilvf`."""

from ilvf.commands.cli import main

main(prog_name="ilvf")
