"""Sphinx: build with ``python -m sphinx -W docs docs/_build/html``."""

import pymanip_run

project = "pymanip-run"
author = copyright = "the pymanip-run authors"
release = version = pymanip_run.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pymanip-run {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "inherited-members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
