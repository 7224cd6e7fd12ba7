"""Runs several command lines, one after the other, in the two processes that the first of them starts.

The argument names a JSON file of the command lines. Each process does the same from top to bottom.
"""

import json
import sys
from pathlib import Path

from lit_react.cli import main

for words in json.loads(Path(sys.argv[1]).read_text()):
    main(words)
