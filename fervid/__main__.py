"""`python -m fervid` is the same as `fervid`."""

from fervid.cli.main import main

if __name__ == "__main__":  # worker processes import this file, too
    main()
