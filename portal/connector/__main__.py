"""`python -m portal.connector`."""

import sys

from portal.connector.command import main

sys.exit(main())
