"""Run `fervid` as `python -m fervid`."""

from fervid.cli.main import main

if __name__ == "__main__":  # worker processes import this file too
    main()
