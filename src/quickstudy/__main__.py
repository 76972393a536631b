"""``python -m quickstudy`` is the command line."""

import sys

from quickstudy.cli import main

sys.exit(main())
