"""Programs whose wall clock is wrong, on a machine whose clock is right: by a small library that is preloaded."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from kit import programs

_TEXT = Path(__file__).with_name("other_clock.c")


def off_by(folder: Path) -> Callable[[int], dict[str, str]]:
    """``off_by(folder)(seconds)``: variables for a program whose clock is that far ahead; less than 0: behind."""
    library = folder / "other_clock.so"
    programs.run([programs.need("gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, _TEXT])

    def variables(seconds: int) -> dict[str, str]:
        return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_S": str(seconds)}

    words = ["env", *(f"{name}={value}" for name, value in variables(-60).items())]
    told = programs.run([*words, sys.executable, "-c", "import time; print(time.time())"]).stdout
    assert float(told) < time.time() - 30, "the library is not used"
    return variables
