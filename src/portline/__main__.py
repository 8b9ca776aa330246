"""``python -m portline``."""

from portline.cli.app import main

main()
