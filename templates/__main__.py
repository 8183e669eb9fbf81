"""`python -m templates`: write generated/*.yml and docs/cloud.md, or say what is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from templates import picture
from templates.stacks import (
    accelerator,
    access,
    alerts,
    boundary,
    builds,
    cluster,
    console,
    database,
    deployment_pipeline,
    firewall,
    network,
    observability,
    registry,
    services,
    storage,
    test_services,
    web_firewall,
)

GENERATED = Path(__file__).parent.parent / "generated"
PICTURE = Path(__file__).parent.parent / "docs/cloud.md"

STACKS = {
    module.STACK: module
    for module in (
        boundary,
        access,
        network,
        firewall,
        registry,
        alerts,
        storage,
        database,
        cluster,
        services,
        web_firewall,
        accelerator,
        observability,
        console,
        test_services,
        builds,
        deployment_pipeline,
    )
}
"""Every stack, in the order in which they are deployed, and taken away the other way round: whoever
takes an environment away needs their rights to the end.
"""

OPTIONAL = {
    **{
        m.STACK: "make deploy-delivery-pipeline"
        for m in (test_services, builds, deployment_pipeline)
    },
    access.STACK: "make deploy-access",
    web_firewall.STACK: "web_application_firewall in templates/environments.py",
    console.STACK: "make deploy-console",
}
"""Stacks without which an environment is whole, and what makes them."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m templates", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something is stale"
    )
    check = parser.parse_args(arguments).check
    built = {name: module.build() for name, module in STACKS.items()}
    wanted = {GENERATED / f"{name}.yml": template.to_yaml() for name, template in built.items()}
    wanted[PICTURE] = picture.page(built)
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text() != text]
    leftover = sorted(set(GENERATED.glob("*.yml")) - set(wanted))
    if check:
        for file in [*stale, *leftover]:
            print(f"{file.name} is stale; say `make generate-templates`", file=sys.stderr)
        return 1 if stale or leftover else 0
    for file in stale:
        file.write_text(wanted[file])
        print(f"wrote {file.relative_to(GENERATED.parent)}")
    for file in leftover:
        file.unlink()
        print(f"removed {file.relative_to(GENERATED.parent)}")
    if not stale and not leftover:
        print("nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
