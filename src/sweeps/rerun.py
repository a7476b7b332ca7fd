"""`python -m sweeps.rerun`: see `sweeps.cli.rerun`."""

from sweeps.cli.rerun import main

if __name__ == "__main__":
    main()
