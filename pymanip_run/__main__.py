"""``python -m pymanip_run`` is ``pymanip-run``."""

from pymanip_run.cli import main

if __name__ == "__main__":
    main()
