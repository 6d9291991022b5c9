"""`python -m logminer`: the same as the command `logminer`."""

from logminer.cli import main

if __name__ == "__main__":
    main()
