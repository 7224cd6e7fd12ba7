"""What the finished cells of a grid asked for and measured, in one file: its tables need no fit to be made again.

    python scripts/tables/archive.py runs/tasks                  # writes docs/results/tasks.zip
    python -m zipfile -e docs/results/tasks.zip runs             # back again
    python -m lit_react report runs/tasks                        # or `compare`, which goes on with the missing cells

Models, ledgers and states stay where they are: a cell that was cut short begins again.
"""

import argparse
import zipfile
from pathlib import Path

from lit_react.experiments.cells import load_grid
from lit_react.experiments.jobs import RECORD


def archive(folder: Path, path: Path) -> int:
    """Write `<grid>/<data>/<strategy>/seed_XX/cell.json` and `result.json` of the finished cells; how many there are.

    The same cells make the same bytes.
    """
    cells = [folder / cell.data / cell.strategy / f"seed_{cell.seed:02d}" for cell in load_grid(folder).cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for cell in cells:
            for name in (RECORD, "result.json"):
                entry = zipfile.ZipInfo(str((cell / name).relative_to(folder.parent)))
                entry.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(entry, (cell / name).read_bytes())
    return len(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the grid")
    parser.add_argument("--into", type=Path, default=Path("docs/results"), help="folder of the archives")
    options = parser.parse_args()
    folder = options.folder.resolve()
    path = options.into / f"{folder.name}.zip"
    print(f"{path}: {archive(folder, path)} cells")


if __name__ == "__main__":
    main()
