"""`python -m lit_react fit --config configs/bbc_news.yaml`."""

import sys

from lit_react.cli import main
from lit_react.cli.stops import tell_stops

if __name__ == "__main__":
    tell_stops(sys.argv[1] if len(sys.argv) > 1 else None)
    main()
