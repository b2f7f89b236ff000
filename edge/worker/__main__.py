"""`python -m edge.worker`: one worker, started by the supervisor."""

import sys

from edge.worker.main import main

sys.exit(main(sys.argv[1:]))
