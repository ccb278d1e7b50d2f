"""Makes docs/images/dashboard.jpg: the page of a task of a real quickstart, in a real browser.

Run it as: .venv/bin/python scripts/screenshot.py FOLDER
The folder's path can be seen in the picture; it must not be there, and is removed again.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from kit import browser as browsers  # noqa: E402
from kit.quickstart_program import QuickstartProgram  # noqa: E402

IMAGE = ROOT / "docs/images/dashboard.jpg"
#: Long enough that the charts have something to show.
_SECONDS = 75


def main() -> None:
    """Write the picture."""
    folder = Path(sys.argv[1])
    folder.mkdir()
    with QuickstartProgram(folder) as program:
        link = program.link
        with browsers.chromium() as chromium, browsers.tab(chromium, link) as tab:
            tab.page.goto(link)
            tab.page.wait_for_function(
                f"document.querySelector('live-view video').currentTime > {_SECONDS}", timeout=300_000
            )
            tab.page.set_viewport_size({"width": 1280, "height": 860})
            tab.page.screenshot(path=IMAGE, type="jpeg", quality=72)
        program.interrupt()
    shutil.rmtree(folder)
    print(f"{IMAGE.relative_to(ROOT)}: {IMAGE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
