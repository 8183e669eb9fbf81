"""What checkov need not check."""

from __future__ import annotations


def skips(reason: str, *checks: str) -> dict[str, object]:
    """Return the metadata of a resource that some of checkov's checks do not suit.

    What suits no resource of ours is in `.checkov.yaml`.
    """
    return {"checkov": {"skip": [{"id": check, "comment": reason} for check in checks]}}
