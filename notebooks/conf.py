"""How the documentation is built: `make docs` reads this folder and fetches nothing."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.errors import ExtensionError

import aktes_xr

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
# `make notebooks` leaves the notebooks here with their pictures.
EXECUTED = HERE.parent / "build" / "notebooks"

# Tags that load what they name, and an address that is not among the pages.
_LOADING = re.compile(r"<(?:script|link|img|source|iframe|video|audio|embed|object)\b[^>]*>")
_OUTSIDE = re.compile(r"(?:src|href|data|srcset)=[\"'](?:[a-z]+:)?//")

project = "aktes_xr"
author = "The aktes_xr developers"
project_copyright = "The aktes_xr developers, Apache-2.0"
version = release = aktes_xr.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    # Puts MathJax among the pages: without it, each page with an equation would fetch it.
    "sphinx-mathjax-offline",
]
exclude_patterns = ["*.py", "_static", "_templates"]
templates_path = ["_templates"]
# Importing a package's documentation shows what it deprecates; only Sphinx's own warnings count.
warnings.filterwarnings("ignore", category=DeprecationWarning)

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
# Widgets need their page's own scripts; what a cell printed beside them is shown instead.
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_typehints = "none"
autodoc_member_order = "groupwise"
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "py:obj"

html_theme = "pydata_sphinx_theme"
html_title = f"aktes_xr {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options: dict[str, Any] = {
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}


def _executed(app: Sphinx, document: str, source: list[str]) -> None:
    """Show a notebook as it was executed, if it was and has not changed since."""
    path = EXECUTED / f"{document}.ipynb"
    if not path.is_file() or not (HERE / f"{document}.ipynb").is_file():
        return
    text = path.read_text(encoding="utf-8")
    before, after = (
        [cell["source"] for cell in json.loads(one)["cells"]] for one in (source[0], text)
    )
    if before == after:
        source[0] = text


def _readable_roles(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Give citations the role that members of a list have: screen readers know no other."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def _refuse_outside(app: Sphinx, exception: Exception | None) -> None:
    """Fail where a page would fetch something from outside; a link to follow is no such thing."""
    if exception is not None or app.builder.format != "html":
        return
    for path in sorted(Path(app.outdir).rglob("*.html")):
        for tag in _LOADING.findall(path.read_text(encoding="utf-8")):
            if _OUTSIDE.search(tag) and 'rel="canonical"' not in tag:
                raise ExtensionError(f"{path.name} would fetch {tag}: keep it among the pages")


def setup(app: Sphinx) -> None:
    """Join the executed notebooks to the build, and check what was built."""
    app.connect("source-read", _executed)
    app.connect("html-page-context", _readable_roles)
    app.connect("build-finished", _refuse_outside)
