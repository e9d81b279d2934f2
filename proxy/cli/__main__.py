"""`python -m proxy.cli`: how the supervisor starts its children with the interpreter it runs on."""

from proxy.cli import main

main(prog_name="inbond")
