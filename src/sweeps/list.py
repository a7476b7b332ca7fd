"""`python -m sweeps.list`: see `sweeps.cli.list`."""

from sweeps.cli.list import main

if __name__ == "__main__":
    main()
