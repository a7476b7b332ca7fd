"""`python -m sweeps.compare`: see `sweeps.cli.compare`."""

from sweeps.cli.compare import main

if __name__ == "__main__":
    main()
