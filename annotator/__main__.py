"""`python -m annotator` is `aha-annotator`."""

import sys

from annotator.cli import main

sys.exit(main())
