"""`python -m sweeps.promote`: see `sweeps.cli.promote`."""

from sweeps.cli.promote import main

if __name__ == "__main__":
    main()
