"""`python -m sweeps.predict`: see `sweeps.cli.predict`."""

from sweeps.cli.predict import main

if __name__ == "__main__":
    main()
