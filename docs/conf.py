"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring

import peerdisco

project = "peerdisco"
author = "The peerdisco authors"
project_copyright = author
version = release = peerdisco.__version__

sys.path.insert(0, str(Path(__file__).parent / "_tools"))
from defaults import with_values  # noqa: E402 - it lies beside this file

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
root_doc = "index"

html_theme = "furo"
html_title = f"peerdisco {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["peerdisco.css"]

# The button copies the commands of a console block, without their prompts and outputs.
copybutton_prompt_text = r"\$ |> "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings name other things in single backticks.
default_role = "any"
nitpicky = True
# The standard library's documentation is not at hand when this is built without a network.
STANDARD_LIBRARY = (
    r"IPv[46]Address|datetime|tuple\[str|Sequence|Mapping|Iterable|Iterator|Callable|Self|Any|Enum|Literal|"
    r"(asyncio|collections|contextlib|dataclasses|datetime|enum|ipaddress|ssl|types|typing)\..*|optional"
)
INTERNAL = (
    r"peerdisco\.(model|exceptions|sources|testing|names|pod|primary|clock|conditions)\..*|Entry|"
    r"peerdisco\.mysql\.(dialects|durability|history)\..*"
)
OTHERS = r"(prometheus_client|opentelemetry)\..*"
nitpick_ignore_regex = [(r"py:.*", names) for names in (STANDARD_LIBRARY, INTERNAL, OTHERS)]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = False


def fences_to_rst(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Show the examples in docstrings, which are fenced as in Markdown, as code."""
    shown: list[str] = []
    inside = False
    for line in lines:
        if line.strip().startswith("```"):
            inside = not inside
            shown += [".. code-block:: python", ""] if inside else [""]
        else:
            shown.append(f"   {line}" if inside and line else line)
    lines[:] = shown


def show_values(
    _app: Sphinx,
    _what: str,
    _name: str,
    obj: Callable[..., object],
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Show the value of a default in place of the constant's name."""
    return (signature and with_values(obj, signature)), returns


def spell_for_napoleon(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking the beginning of a sentence for a type.

    It does so in "Returns", and in the docstrings of properties, whose sections it does not read.
    Here types stand in signatures.
    """
    if what == "property":
        read = GoogleDocstring(list(lines), app.config, app, "method", name, obj, options).lines()
        lines[:] = ["..", "", *read]  # an empty comment: a first line that holds no colon
        return
    for number, line in enumerate(lines[:-1]):
        if line.strip() == "Returns:":
            text = lines[number + 1]
            indent = len(text) - len(text.lstrip())
            lines[number + 1] = f"{text[:indent]}: {text[indent:]}"


def plain_if_internal(
    _app: Sphinx, _env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.TextElement | None:
    """Leave a reference to something that has no entry of its own here as plain code.

    What does not exist at all stays an error.
    """
    if node.get("reftype") != "any":
        return None
    *path, name = node["reftarget"].split(".")
    around = [node.get("py:module"), node.get("py:class")]
    candidates = [path, [*around, *path], [around[0], *path], *([*home, *path] for home in HOMES)]
    for candidate in candidates:
        holder = find(".".join(filter(None, candidate)))
        if holder is not None and (hasattr(holder, name) or name in parameters(holder)):
            return contnode
    return None


def parameters(holder: object) -> list[str]:
    """What a class is constructed with, which its docstring speaks of."""
    return list(inspect.signature(holder).parameters) if inspect.isclass(holder) else []


HOMES = (["builtins"], ["peerdisco.model"], ["peerdisco.testing"])


def find(dotted: str) -> object:
    """The module or the class of this name; None if there is none."""
    if not dotted:
        return None
    with contextlib.suppress(ImportError):
        return importlib.import_module(dotted)
    holder = find(dotted.rpartition(".")[0])
    return getattr(holder, dotted.rpartition(".")[2], None)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", show_values)
    app.connect("autodoc-process-docstring", fences_to_rst, priority=300)
    app.connect("autodoc-process-docstring", spell_for_napoleon, priority=400)
    app.connect("missing-reference", plain_if_internal)
