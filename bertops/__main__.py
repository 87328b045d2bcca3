"""`python -m bertops` is the `bertops` command."""

from bertops.cli.app import main

if __name__ == "__main__":
    main()
