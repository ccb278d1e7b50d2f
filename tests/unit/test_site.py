"""The documents as a site and as files: every link leads somewhere, and nothing is fetched from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
#: Read on their own, beside the site.
LOOSE = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEAD = re.compile(r"^#+ (.*)$", re.M)
_FETCHED = re.compile(r"""<(?:script|img|iframe)[^>]+src="?(https?:)?//|<link[^>]+stylesheet[^>]+href="?https?:""")


def anchors_of(path: Path) -> set[str]:
    """As GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in _HEAD.findall(text)}


@pytest.mark.parametrize("name", LOOSE)
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    """To a file that is there, and to a heading that it has."""
    page = ROOT / name
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = page if not file else (page.parent / file).resolve()
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    """Built with every link and anchor judged; no page asks another host for anything."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md"))) - 1
    for page in pages:
        assert not _FETCHED.search(page.read_text()), page


def test_every_page_is_in_the_navigation() -> None:
    """In the order of somebody's thought; decision notes are added by themselves."""
    given = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = {page for group in given["nav"] for pages in group.values() for page in pages}
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert named == {page for page in there if not page.startswith("decisions/")}


def test_troubleshooting_quotes_what_the_program_says() -> None:
    """Each sentence that stands in its tables and headings as the program's is in the program, letter by letter."""
    text = (ROOT / "docs/troubleshooting.md").read_text()
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    # Long sentences are broken in the code.
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    quoted = [words for row in rows for words in re.findall(r"`([^`]+)`", row) if " " in words.strip()]
    quoted += [
        part.strip()
        for head in re.findall(r"^## .*?\*(.+? .+?)\*", text, re.M)
        for part in head.split("...")
        if part.strip()
    ]
    assert len(quoted) > 15
    system = ("Connection refused", "Name or service not known", "Temporary failure in name resolution",
              "No route to host", "Address already in use")  # fmt: skip
    missing = [words for words in quoted if words not in code and not any(one in words for one in system)]
    assert missing == []
