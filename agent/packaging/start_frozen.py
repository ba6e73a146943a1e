"""What a frozen program runs (Windows, macOS: 未検証): the commands, or the worker that they start with `-P -m MODULE`."""

import runpy
import sys

from irefuda_agent.__main__ import main

if sys.argv[1:] == ["-P", "-m", "irefuda_agent.worker"]:
    runpy.run_module("irefuda_agent.worker", run_name="__main__")
else:
    sys.exit(main())
