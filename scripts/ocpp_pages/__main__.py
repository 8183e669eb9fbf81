"""`python -m scripts.ocpp_pages`: write docs/ocpp.md and docs/conformance.md from what is."""

from __future__ import annotations

import argparse
import sys

from scripts.ocpp_pages import conformance, coverage

PAGES = (coverage, conformance)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.ocpp_pages",
        description="Write docs/ocpp.md from the dialects, docs/conformance.md from the tests.",
    )
    parser.add_argument("--check", action="store_true", help="only say whether they are fresh")
    options = parser.parse_args(arguments)
    stale = [p for p in PAGES if not p.PAGE.exists() or p.PAGE.read_text() != p.text()]
    if options.check:
        for page in stale:
            print(f"docs/{page.PAGE.name} is stale; `make ocpp-pages` writes it", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        page.PAGE.write_text(page.text())
    print(f"wrote {', '.join(f'docs/{page.PAGE.name}' for page in stale) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
