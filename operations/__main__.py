"""`python -m operations`: the command line."""

import sys

from operations.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
