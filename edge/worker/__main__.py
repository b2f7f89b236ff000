"""`python -m edge.worker`: one worker, started by the supervisor."""

import sys

from edge.confine import confine, die_with_parent

die_with_parent()
confine()

from edge.worker.main import main  # noqa: E402  (rights go before anything else is loaded)

sys.exit(main(sys.argv[1:]))
