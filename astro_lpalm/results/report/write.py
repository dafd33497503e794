"""A report as a file."""

from pathlib import Path

from ..._files import check_output, complete_or_nothing

__all__ = ["FORMATS", "write_report"]

FORMATS = "html", "pdf"


def write_report(separation, path, *, format=None, overwrite=False):
    """Write the report of a separation; see `Separation.report`."""
    kind = (format or Path(path).suffix[1:] or "html").lower()
    kind = "html" if kind == "htm" else kind
    if kind not in FORMATS:
        msg = f"a report is {' or '.join(FORMATS)}, not {kind!r}; give such an ending to '{path}', or format='html'."
        raise ValueError(msg)
    check_output(path, overwrite=overwrite)
    if kind == "pdf":
        from .pages import write_pages

        with complete_or_nothing(path, overwrite=overwrite) as temporary:
            write_pages(separation, temporary)
        return
    from .page import make_page

    page = make_page(separation)
    with complete_or_nothing(path, overwrite=overwrite) as temporary:
        temporary.write_text(page, encoding="utf-8")
