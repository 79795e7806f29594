"""``python -m tests.peers``."""

import sys

from tests.peers.run import main

sys.exit(main())
