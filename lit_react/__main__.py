"""`python -m lit_react fit --config configs/bbc_news.yaml`."""

from lit_react.cli import main

if __name__ == "__main__":
    main()
