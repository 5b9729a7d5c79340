"""`python -m autellix`: the same as the `autellix` command."""

from autellix.cli import app

if __name__ == "__main__":
    app(prog_name="autellix")
