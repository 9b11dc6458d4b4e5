"""``python -m hashmatch`` is the ``hashmatch`` command."""

from hashmatch.cli import main

if __name__ == "__main__":
    main()
