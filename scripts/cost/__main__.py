"""`python -m scripts.cost`: write docs/cost.md and its picture, or say whether they are fresh."""

from __future__ import annotations

import argparse
import sys

from scripts.cost import page, picture
from scripts.cost.bill import Tables


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.cost",
        description="Compute docs/cost.md and docs/cost.svg from docs/cost.toml and the sizes.",
    )
    parser.add_argument("--check", action="store_true", help="only say whether they are fresh")
    options = parser.parse_args(arguments)
    tables = Tables.read()
    if options.check:
        if page.is_fresh(tables) and picture.is_fresh(tables):
            return 0
        print("docs/cost.md or its picture is stale; `make cost` writes both", file=sys.stderr)
        return 1
    page.write(tables)
    picture.write(tables)
    print("wrote docs/cost.md and docs/cost.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
