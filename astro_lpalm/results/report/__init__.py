"""A separation as a report to read: one page for a browser, or pages to print."""

from .write import write_report

__all__ = ["write_report"]
