"""The subcommand ``report``, and what it knows of the command that made the components."""

from astro_lpalm.results import Separation

from .conftest import run


def test_report(files, here, capsys):
    given = "separate", files / "cube.fits", files / "model.fits", "-o", "components.fits", "--quiet", "--no-smooth"
    assert run(*given) == 0
    header = Separation.read("components.fits").header
    assert header["COMMAND"] == " ".join(["astro-lpalm", *map(str, given)])
    warnings = [header[f"WARN{k + 1}"] for k in range(header["NWARN"])]
    assert all(warning in " ".join(capsys.readouterr().err.split()) for warning in warnings)
    assert run("report", "components.fits") == 0
    assert capsys.readouterr().out == "components.html\n"
    page = (here / "components.html").read_text(encoding="utf-8")
    assert "astro-lpalm separate" in page
    assert run("report", "components.fits", "--format", "pdf", "--quiet") == 0
    assert (here / "components.pdf").read_bytes().startswith(b"%PDF")
    assert run("report", "components.fits", "-o", "other.html", "--quiet") == 0
    is_same = (here / "other.html").read_text(encoding="utf-8") == page
    assert is_same


def test_report_that_cannot_be_written(files, here, fails):
    assert run("separate", files / "cube.fits", files / "model.fits", "-o", "components.fits", "--quiet") == 0
    assert run("report", "components.fits", "--quiet") == 0
    fails("'components.html' exists already", "report", "components.fits")
    fails(
        "'components.fits' is the file that it would be made of", "report", "components.fits", "-o", "components.fits"
    )
    fails("a report is html or pdf, not 'docx'", "report", "components.fits", "-o", "report.docx")
    fails("not a file written by Separation.write", "report", files / "model.fits", "-o", "report.html")
