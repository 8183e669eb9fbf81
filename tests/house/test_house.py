"""The house keeps its own rules: what a reader is told is true."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

import cp_backend.settings
import operations.console.settings
import third_party_backend.settings
from charging.database import retention
from tests.house.tree import DOCUMENTS, FILES, ROOT, relative

ROOMS = {
    ".ci",
    "charging",
    "charging_point_simulator",
    "cp_backend",
    "docs",
    "generated",
    "operations",
    "requirements",
    "scripts",
    "templates",
    "tests",
    "third_party_backend",
    "third_party_hub_simulator",
}
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))


def test_there_is_no_room_that_nobody_planned():
    found = {file.relative_to(ROOT).parts[0] for file in FILES if file.parent != ROOT}
    assert found == ROOMS


def test_every_room_is_in_the_picture():
    picture = (ROOT / "docs/architecture.md").read_text()
    for room in ROOMS - {".ci"}:
        assert f"`{room}/`" in picture


@pytest.mark.parametrize(
    ("module", "document"),
    [
        (cp_backend.settings, "docs/charging-point-backend-settings.md"),
        (third_party_backend.settings, "docs/third-party-backend-settings.md"),
        (operations.console.settings, "docs/console-settings.md"),
    ],
)
def test_every_setting_is_documented(module, document):
    rows = [
        f"| `{name}` | {f'`{default}`' if default else '(empty)'} | {meaning} |"
        for name, default, meaning in module.table()
    ]
    documented = [
        line
        for line in (ROOT / document).read_text().splitlines()
        if line.startswith(f"| `{module.PREFIX}")
    ]
    assert documented == rows


def test_how_long_data_is_kept_is_documented():
    page = (ROOT / "docs/data.md").read_text().splitlines()
    assert [line for line in page if line.startswith("| `")] == retention.page_rows()


def test_only_settings_read_the_environment():
    allowed = {
        "charging/database/address.py",
        # Of all programs that keep files.
        "charging/service/file_store.py",
        "charging_point_simulator/target.py",
        "cp_backend/settings.py",
        "operations/console/settings.py",
        # What Fargate says of a task, which is no setting of ours.
        "cp_backend/target.py",
        "third_party_backend/settings.py",
    }
    readers = {
        relative(file)
        for file in FILES
        if file.suffix == ".py"
        and file.relative_to(ROOT).parts[0] not in ("scripts", "tests")
        and re.search(r"os\.(environ|getenv)", file.read_text())
    }
    assert readers <= allowed


def test_every_target_has_its_help():
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (\S+)", makefile, re.MULTILINE))
    helped = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert phony == helped
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE)) == helped


def test_a_target_says_what_is_missing():
    run = subprocess.run(
        ["make", "show-session"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "SESSION is not set; say make show-session SESSION=…" in run.stderr


@pytest.mark.parametrize("name", ["development", "cp-backend", "third-party-backend", "checkov"])
def test_requirements_are_pinned_hashed_and_name_no_address(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    requirements = re.split(r"\n(?! )", text.strip())
    assert len(requirements) > 5
    for requirement in requirements:
        assert re.match(r"[a-z0-9._-]+==\S+", requirement)
        assert "--hash=sha256:" in requirement


def test_what_runs_in_production_is_what_was_tested():
    def pins(name):
        text = (ROOT / f"requirements/{name}.txt").read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))

    tested = pins("development")
    for image in ("cp-backend", "third-party-backend"):
        assert pins(image).items() <= tested.items()


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{relative(document)} → {target}"


def test_decisions_that_code_names_exist():
    for file in FILES:
        if file.suffix in (".py", ".sh", ".cfg", ".toml"):
            for name in re.findall(r"docs/decisions/[\w-]+\.md", file.read_text()):
                assert (ROOT / name).exists(), f"{relative(file)} → {name}"


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda file: file.stem)
def test_a_decision_says_why_and_what_it_costs(decision):
    text = decision.read_text()
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections == ["Context", "Decision", "Drawbacks"]
    assert re.match(r"# \d{4}\. \S", text)
    assert decision.name[:4] == text[2:6]


def test_each_decision_stands_in_the_index_once_by_its_title():
    index = (ROOT / "docs/decisions/README.md").read_text()
    listed = re.findall(r"^- \[(\d+\. .+)\]\((.+)\)$", index, re.MULTILINE)
    titles = [
        (decision.read_text().splitlines()[0].removeprefix("# ").lstrip("0"), decision.name)
        for decision in DECISIONS
    ]
    assert sorted(listed) == sorted(titles), "docs/decisions/README.md is their index"
    numbers = [decision.name[:4] for decision in DECISIONS]
    assert len(numbers) == len(set(numbers))


def test_every_makefile_target_that_documents_name_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for target in re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", document.read_text()):
            assert target in targets, f"{relative(document)}: make {target}"


def test_generated_templates_are_fresh():
    run = subprocess.run(
        [sys.executable, "-m", "templates", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_what_a_service_imports_is_in_its_image():
    """An image installs one requirements file: nothing else may be imported there."""
    distributions = packages_distributions()
    for package, name in (("cp_backend", "cp-backend"), ("third_party_backend",) * 2):
        name = name.replace("_", "-")
        pins = re.findall(
            r"^([a-z0-9._-]+)==", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE
        )
        installed = {pin.replace("_", "-").replace(".", "-") for pin in pins}
        for file in FILES:
            if file.suffix == ".py" and file.relative_to(ROOT).parts[0] in (package, "charging"):
                for module in re.findall(r"^(?:from|import) (\w+)", file.read_text(), re.MULTILINE):
                    needed = {
                        d.lower().replace("_", "-").replace(".", "-")
                        for d in distributions.get(module, [])
                    } - {"vni-backend"}
                    assert not needed or needed & installed, f"{relative(file)} imports {module}"
