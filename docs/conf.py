"""Settings of Sphinx: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow is talkative otherwise
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices; threads only wait

import skltransfer
from skltransfer.estimators.documentation import DOCUMENTATION

project = "skltransfer"
author = "The skltransfer developers"
project_copyright = author
version = release = skltransfer.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
# README.md is the list of pages for readers on a code host; index.md is that of the site.
exclude_patterns = ["_build", "README.md", "examples", "**.ipynb"]
root_doc = "index"
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!skltransfer\.).*")]  # no inventories: no network is needed

# Markdown: headings can be linked to as on a code host.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings tell types
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
templates_path = ["_templates"]
viewcode_follow_imported_members = True

html_theme = "pydata_sphinx_theme"
html_baseurl = f"{DOCUMENTATION}/"
html_title = "skltransfer"
html_static_path = ["_static"]
html_css_files = ["skltransfer.css"]
html_js_files = ["messages.js"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "logo": {"text": "skltransfer"},
}
WITHOUT_SIDEBAR = (
    *("index", "getting_started", "from_the_textbook"),
    *("benchmarks", "design", "contributing", "changes"),
)
html_sidebars = {name: [] for name in WITHOUT_SIDEBAR}

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# These are scripts: two of the README, and one of a page. The others are the gallery.
SCRIPTS = ["quickstart", "service", "solar_cells"]

sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["auto_examples"],
    "ignore_pattern": rf"(^|[/\\])({'|'.join(SCRIPTS)})\.py$",
    "filename_pattern": r"[/\\]plot_",
    "within_subsection_order": "NumberOfCodeLinesSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 0,
    "plot_gallery": not tags.has("without_examples"),  # noqa: F821 - Sphinx gives tags
    "abort_on_example_error": False,  # the build fails in the end, and tells of every one
    "matplotlib_animations": False,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skltransfer",),
    "reference_url": {"skltransfer": None},
}
warnings.filterwarnings("ignore", message=".*non-interactive.*", category=UserWarning)
