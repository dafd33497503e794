"""Files of every kind that the package reads, what can happen to them, and what came of reading them.

Used by tests/test_fuzz.py and benchmarks/fuzz.py.
"""

import gzip
import io
import re
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits

from astro_lpalm import EventCube, load_model
from astro_lpalm._files import write_fits
from astro_lpalm.cube.region import read_region
from astro_lpalm.instrument import PHA, Response
from astro_lpalm.results import Separation
from astro_lpalm.spectra import SpectralLibrary, read_table_model
from astro_lpalm.training.checkpoint import read_checkpoint, write_checkpoint

from . import toy
from .instrument.ogip_files import make_arf, make_pha, make_rmf
from .spectra.table_files import make_table, ramp

BLOCK, CARD = 2880, 80
DOCUMENTED = (OSError, ValueError, TypeError)
IDENTITY = {"seed": 1}
REGION = 'fk5\ncircle(350.866,58.815,8")\n-box(23:23:27.8,+58:48:54,3",4",20)\nphysical; ellipse(4096,4097,5,3,10)\n'
LINE = '[[components]]\nname = "line"\nmodel = "EmissionLine"\n[components.parameters]\nenergy = 1.85\nsigma = 1000.0\n'
VALUES = (
    "", "'20000.0'", "'text'", "'unfinished", "unquoted", "nan", "-inf", "1.5e-03", "1e400", "T", "(1, 2)", "0", "-1",
    "1", "2", "7", "999", "1000000000", "1099511627776", "9223372036854775807", "1E-30", "-32", "'2A'", "'1PE(9)'",
    "'(2,3)'", "'keV'", "'nonsense/unit'", "'RA---TAN'", "1.0D4", "\x1b[31m", "\xe9",
)  # fmt: skip


def make_files(folder):
    """Write one sound file of each kind.

    Returns
    -------
    files : dict of str to `~pathlib.Path`
        A kind may be there twice, "cube" and "cube, bare": the bare one has no checksums, and nobody's name.
    """
    cube = toy.cube(mask=np.arange(28 * 33).reshape(28, 33) == 0, exposure=np.full((28, 33), 1e4) * u.s)
    cube.meta = fits.Header({"EXPOSURE": 1e4, "TELESCOP": "CHANDRA", "INSTRUME": "ACIS"})
    cube.write(folder / "cube.fits")
    sources = toy.images().reshape(2, -1)[:, ~cube.pixel_mask.ravel()]
    Separation(cube, toy.spectra(), sources, list(toy.NAMES)).write(folder / "result.fits")
    toy.model().write(folder / "model.fits")
    write_checkpoint(folder / "training.ckpt", {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(2)}, IDENTITY)
    events = toy.events(share=0.02)
    write_fits(events, folder / "events.fits")
    arrays = {"soft": np.abs(np.random.default_rng(1).normal(5, 1, (4, 12))), "hard": np.ones((3, 12))}
    SpectralLibrary.from_arrays(arrays, toy.EDGES).write(folder / "library.fits", n=5)
    grid = [("kT", 0, [0.5, 1.0, 2.0]), ("Z", 1, [0.1, 1.0])]
    tables = {"arf": [make_arf()], "rmf": make_rmf(), "pha": [make_pha(np.arange(9.0))], "region table": [_regions()]}
    tables["exposure"] = [fits.ImageHDU(np.full((28, 33), 1e4, np.float32), toy.wcs().to_header(), name="EXPMAP")]
    tables["mask"] = [fits.CompImageHDU(np.eye(28, 33, dtype=np.int16), toy.wcs().to_header(), name="MASK")]
    files = {path.stem: path for path in sorted(folder.iterdir())}
    for kind, hdus in tables.items():
        files[kind] = folder / f"{kind}.fits"
        write_fits(fits.HDUList([fits.PrimaryHDU(), *hdus]), files[kind])
    files["table model"] = folder / "table.mod"
    write_fits(make_table(grid, ramp), files["table model"])
    for kind, path in list(files.items()):
        if kind in ("model", "training"):  # which must have checksums
            continue
        files[f"{kind}, bare"] = path.with_name(f"{path.stem}_bare{path.suffix}")
        files[f"{kind}, bare"].write_bytes(_without_checksums(path.read_bytes()))
    for kind, text in (("region", REGION), ("components", toy.COMPONENTS + LINE)):
        files[kind] = folder / (kind + {"region": ".reg", "components": ".toml"}[kind])
        files[kind].write_text(text)
    return files


def _regions():
    columns = [fits.Column("SHAPE", "16A", array=["Circle", "!Circle"]), fits.Column("COMPONENT", "I", array=[1, 1])]
    columns += [fits.Column(name, "2D", array=np.full((2, 2), value)) for name, value in (("X", 4090), ("Y", 4100))]
    columns += [fits.Column("R", "2D", array=[[9, 9], [3, 3]]), fits.Column("ROTANG", "D", array=[0, 0])]
    return fits.BinTableHDU.from_columns(columns, name="REGION")


def _without_checksums(content):
    blank = b"COMMENT ".ljust(CARD)
    for keyword in (b"CHECKSUM", b"DATASUM ", b"CREATOR ", b"ORIGIN  "):
        content = re.sub(rb"(?<=[ -~])" + keyword + rb"= .{70}", blank, content)
    return content.replace(b"events per pixel and energy bin", b"counts".ljust(31))


def read(kind, path, files):
    """Read a file by the function that a user would call, and give arrays of what is in it."""
    kind = kind.removesuffix(", bare")
    if kind == "cube":
        cube = EventCube.read(path)
        cube.to_hdulist().writeto(io.BytesIO(), output_verify="exception")  # what was read can be written
        return [cube.data, cube.energy_edges.value, cube.pixel_mask, cube.exposure]
    if kind == "events":
        cube = EventCube.from_events(path, energy=(1, 4) * u.keV, n_energy=4, pixel_scale=4 * u.arcsec)
        cube.to_hdulist().writeto(io.BytesIO(), output_verify="exception")
        return [cube.data, cube.celestial_header()["CRVAL1"]]
    if kind == "result":
        result = Separation.read(path)
        return [result.mixing, result.sources, result.cube.data, *(image.data for image in result.images.values())]
    if kind == "model":
        model = load_model(path)
        return [*(value.numpy() for value in model.network.state_dict().values()), model.prior.mean]
    if kind == "training":
        return list((read_checkpoint(path, IDENTITY) or {}).values())
    if kind in ("arf", "rmf"):
        return [Response.read(*(path if kind == each else files[each] for each in ("arf", "rmf"))).matrix.toarray()]
    if kind in ("exposure", "mask"):
        cube = toy.cube()
        return [(cube.with_exposure(path) if kind == "exposure" else cube.with_mask(path)).pixel_mask]
    if kind in ("library", "components"):
        return [SpectralLibrary.from_file(path).draw(2, seed=0)]
    if kind in ("region", "region table"):
        return [repr(read_region(path))]
    return [{"pha": PHA.read, "table model": read_table_model}[kind](path)]


def outcome(kind, path, files):
    """Read a file and say what came of it: "read", "refused", or "undocumented: ..."."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(kind, path, files)
    except DOCUMENTED as error:
        message = str(error)
        if path.name in message or "all are masked" in message:
            return "refused"
        return f"undocumented: {type(error).__name__} without the file's name: {message[:150]}"
    except Exception as error:  # what the search is for
        return f"undocumented: {type(error).__name__}: {str(error)[:150]}"
    return "read"


def damage(content, rng):
    """Do to a file what happens to files, once or several times.

    Returns
    -------
    name : str
        Of what was done.
    content : bytes
    """
    is_fits = content.startswith(b"SIMPLE")
    changes = (
        (_flip, _card, _card, _card, _truncate, _hdus, _no_rows, _overwrite) if is_fits else (_flip, _text, _truncate)
    )
    change = changes[rng.integers(len(changes))]
    for _ in range(rng.choice([1, 1, 2, 5])):
        content = change(content, rng) or content
    name = change.__name__[1:]
    if is_fits and rng.random() < 0.4:  # by a program that renews checksums
        name, content = f"{name}, checksums good", _renewed(content)
    if is_fits and rng.random() < 0.1:
        content = gzip.compress(content)
    return name, content


def flip_data_bit(content, rng):
    """Flip one bit in the data of a FITS file."""
    with fits.open(io.BytesIO(content)) as hdulist:
        data = np.concatenate([hdu.fileinfo()["datLoc"] + np.arange(hdu.size) for hdu in hdulist])
    damaged = bytearray(content)
    damaged[rng.choice(data)] ^= 1 << rng.integers(8)
    return bytes(damaged)


def _flip(content, rng):
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 8, 64])):
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
    return bytes(damaged)


def _truncate(content, rng):
    at = rng.integers(len(content))
    return content[: at if rng.random() < 0.5 else at // BLOCK * BLOCK]


def _overwrite(content, rng):
    at, n = rng.integers(len(content)), int(rng.choice([8, 80, 2880]))
    other = rng.bytes(n) if rng.random() < 0.5 else bytes([rng.choice([0, 255])]) * n
    return content[:at] + other[: len(content) - at] + content[at + n :]


def _headers(content):
    """Where each header begins and ends, as far as they are found."""
    starts = [at for at in range(0, len(content), BLOCK) if content[at : at + 8] in (b"SIMPLE  ", b"XTENSION")]
    found = []
    for start in starts:
        cards = range(start, len(content), CARD)
        end = next((at for at in cards if content[at : at + 8] == b"END     "), None)
        found += [] if end is None else [(start, end)]
    return found


def _card(content, rng):
    headers = _headers(content)
    if not headers:
        return None
    start, end = headers[rng.integers(len(headers))]
    at = start + CARD * rng.integers((end - start) // CARD)
    card, kind = content[at : at + CARD], rng.integers(8)
    if kind == 0:
        card = b"COMMENT ".ljust(CARD)
    elif kind == 1:  # a second card of another keyword
        other = start + CARD * rng.integers((end - start) // CARD)
        card = content[other : other + 8] + card[8:]
    else:
        value = VALUES[rng.integers(len(VALUES))].encode("latin-1")
        card = (card[:8] + b"= " + (value if kind % 2 else value.rjust(20))).ljust(CARD)[:CARD]
    return content[:at] + card + content[at + CARD :]


def _hdus(content, rng):
    """Swap, repeat or leave out HDUs."""
    starts = [start for start, _ in _headers(content)]
    if len(starts) < 2:
        return None
    parts = [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)])]
    i, j = rng.integers(1, len(parts), 2) if rng.random() < 0.8 else rng.integers(0, len(parts), 2)
    kind = rng.integers(3)
    if kind == 0:
        parts[i], parts[j] = parts[j], parts[i]
    elif kind == 1:
        parts.insert(j, parts[i])
    else:
        del parts[i]
    return b"".join(parts)


def _no_rows(content, rng):
    """Leave a table, or an image, without rows."""
    headers = _headers(content)
    if not headers:
        return None
    i = rng.integers(len(headers))
    start, end = headers[i]
    header = re.sub(rb"(NAXIS[12]  = ) {19}\d|(NAXIS2  = ).{20}", rb"NAXIS2  = " + b"0".rjust(20), content[start:end])
    after = headers[i + 1][0] if i + 1 < len(headers) else len(content)
    data = start + (end // BLOCK - start // BLOCK + 1) * BLOCK
    return content[:start] + header + content[end:data] + content[after:]


def _renewed(content):
    """Make the checksums of every HDU good, as far as it has them (FITS standard 4.0, appendix J)."""
    headers = _headers(content)
    for (start, end), after in zip(headers, [*(start for start, _ in headers[1:]), len(content)]):
        data = start + ((end - start) // BLOCK + 1) * BLOCK
        header = _set(content[start:data], b"DATASUM ", str(_sum(content[data:after])).encode())
        header = _set(header, b"CHECKSUM", b"0" * 16)
        header = _set(header, b"CHECKSUM", _encoded(0xFFFFFFFF - _sum(header + content[data:after]) % 0xFFFFFFFF))
        content = content[:start] + header + content[data:]
    return content


def _set(header, keyword, value):
    at = next((at for at in range(0, len(header), CARD) if header[at : at + 8] == keyword), None)
    return header if at is None else header[:at] + (keyword + b"= '" + value + b"'").ljust(CARD) + header[at + CARD :]


def _sum(content):
    total = int(np.frombuffer(content[: len(content) // 4 * 4], ">u4").sum(dtype=np.uint64))
    return total % 0xFFFFFFFF or (0xFFFFFFFF if total else 0)


def _encoded(value):
    """Write a number as 16 letters and digits whose sum it is, above that of as many zeros."""
    columns = []
    for byte in value.to_bytes(4, "big"):
        quarters = [byte // 4 + 0x30 + (byte % 4 if i == 0 else 0) for i in range(4)]
        while any(not chr(code).isalnum() for code in quarters):
            for i in (0, 2):
                if not (chr(quarters[i]).isalnum() and chr(quarters[i + 1]).isalnum()):
                    quarters[i] += 1
                    quarters[i + 1] -= 1
        columns.append(quarters)
    text = bytes(columns[i][j] for j in range(4) for i in range(4))
    return text[-1:] + text[:-1]


def _text(content, rng):
    """Change a line, a number, a word, or the encoding of a text."""
    lines = content.split(b"\n")
    i, kind = rng.integers(len(lines)), rng.integers(6)
    if kind == 0:
        del lines[i]
    elif kind == 1:
        lines.insert(i, lines[rng.integers(len(lines))])
    elif kind in (2, 3):
        value = rng.choice(["1e12", "-1", "nan", "inf", "0", "1e-300", '"a"', "[1, 2]", "true", "1e400"]).encode()
        lines[i] = re.sub(rb"[-+]?\d+(\.\d+)?", value, lines[i], count=int(rng.integers(1, 3)))
    elif kind == 4:
        lines[i] += rng.choice(["\xe9", "(", "]" * 50, "[" * 200, "-" * 2000, "\x1b[31m", " # \u03b1"]).encode()
    else:
        return b"\xef\xbb\xbf" + content
    return b"\n".join(lines)
