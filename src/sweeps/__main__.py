"""`python -m sweeps`: see `sweeps.cli.main`."""

from sweeps.cli.main import main

if __name__ == "__main__":
    main()
