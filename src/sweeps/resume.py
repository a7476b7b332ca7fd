"""`python -m sweeps.resume`: see `sweeps.cli.resume`."""

from sweeps.cli.resume import main

if __name__ == "__main__":
    main()
