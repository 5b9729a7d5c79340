"""``python -m autellix_chart``: write the files that are made; ``manifests HELM`` renders those for kubectl."""

import sys
from pathlib import Path

from autellix_chart.files import made
from autellix_chart.manifests import FOLDER, rendered

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Write what the arguments ask for."""
    match arguments:
        case []:
            files = made()
        case ["manifests", helm]:
            files = {FOLDER / name: text for name, text in rendered(Path(helm)).items()}
        case _:
            print("usage: python -m autellix_chart [manifests HELM]", file=sys.stderr)  # noqa: T201
            return 2
    for path, text in files.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
