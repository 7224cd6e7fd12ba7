"""Runs several command lines, one after the other, in the two processes that the first of them starts.

The argument names a JSON file of the command lines. Each process does the same from top to bottom, but for that the
first one begins each run alone, as it does where a command starts the other.
"""

import json
import os
import sys
import time
from pathlib import Path

from lit_react.cli import main

for words in json.loads(Path(sys.argv[1]).read_text()):
    begun = Path(words[words.index("--rounds.folder") + 1]) / "config.yaml"
    first, deadline = os.environ.get("LOCAL_RANK", "0") == "0", time.monotonic() + 120
    while not first and not begun.exists():
        assert time.monotonic() < deadline, "the first process has ended"
        time.sleep(0.02)
    main(words)
