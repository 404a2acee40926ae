"""Lets the folder be run as it is: `python qa/verifier DIR`, or `python verifier DIR` where it was copied to."""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    sys.exit(importlib.import_module("verifier.report").main(sys.argv[1:]))
