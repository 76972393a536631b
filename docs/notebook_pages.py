"""Notebooks as pages: a hook of MkDocs that shows each ``.ipynb`` in the docs with the outputs that are stored in it.

They are run by ``make notebooks``, and by the tests. The notebook itself stays in the site, to be taken along.
"""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File
from nbconvert import MarkdownExporter


def markdown(notebook: Path) -> str:
    """A notebook as a page; links to other notebooks lead to their pages."""
    text, _ = MarkdownExporter().from_filename(str(notebook))
    shown = text.replace(".ipynb)", ".md)").rstrip()
    return f"{shown}\n\nThis page as a notebook: [{notebook.name}]({notebook.name}).\n"


def on_files(files: Any, config: Any) -> Any:
    """MkDocs: a page beside every notebook."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        page = file.src_uri.removesuffix(".ipynb") + ".md"
        files.append(File.generated(config, page, content=markdown(Path(file.abs_src_path))))
    return files
