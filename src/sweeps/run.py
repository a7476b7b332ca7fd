"""`python -m sweeps.run`: see `sweeps.cli.run`."""

from sweeps.cli.run import main

if __name__ == "__main__":
    main()
