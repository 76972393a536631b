"""``python -m quickstudy`` is the command line."""

import sys

from quickstudy.cli.main import main

sys.exit(main())
