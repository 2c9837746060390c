"""Sphinx configuration."""

project = "sgseg"
author = "The sgseg authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_static_path = ["_static"]
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # an attribute in a docstring and its property are one thing
autodoc_typehints = "description"
suppress_warnings = ["ref.python", "docutils"]
