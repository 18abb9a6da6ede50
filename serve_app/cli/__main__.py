"""`python -m serve_app.cli` is `stemserve`."""

from serve_app.cli import main

main()
