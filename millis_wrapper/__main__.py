"""`python -m millis_wrapper`: the `millis` command."""

from millis_wrapper.cli import main

if __name__ == "__main__":
    main()
