"""The commands of the command line, one module each; the table is `COMMANDS` in `server/cli.py`."""
