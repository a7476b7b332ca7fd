"""`python -m sweeps.sync`: see `sweeps.cli.sync`."""

from sweeps.cli.sync import main

if __name__ == "__main__":
    main()
