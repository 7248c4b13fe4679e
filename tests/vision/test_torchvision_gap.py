"""torchvision beside a torch build that its extension does not fit."""

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_torchvision_can_be_imported_after_the_gap_is_closed():
    run("import linework_vision.torchvision_gap, torchvision.transforms, timm, open_clip")


def test_it_is_closed_only_where_the_extension_does_not_load():
    """Asked of torchvision itself: it has its operators, or we declared them."""
    code = (
        "import sys; from linework_vision.torchvision_gap import close_gap; declared = close_gap()\n"
        "import torchvision.extension as e; sys.stdout.write(f'{declared} {e._has_ops()}')"
    )
    assert run(code) in ("True False", "False True")


def test_closing_it_twice_changes_nothing():
    run("from linework_vision.torchvision_gap import close_gap; assert close_gap() == close_gap()")
