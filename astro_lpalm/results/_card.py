"""What a Separation looks like in a notebook."""

from .._notebook import card, thumbnail

__all__ = ["kept_warnings", "separation_card"]


def kept_warnings(header):
    """Read the warnings of a separation from its header, or None where it does not say whether there were any."""
    count = header.get("NWARN")
    return None if count is None else [str(header[f"WARN{k + 1}"]) for k in range(count)]


def separation_card(separation):
    """Write the card of a separation: each component's image, how far it can be trusted, and its warnings."""
    images = separation.images if separation.smooth is None else separation.smooth_images
    meta, header = separation.cube.meta or {}, separation.header
    rows = {name: str(meta[key]) for key, name in (("OBJECT", "object"), ("OBS_ID", "observation")) if key in meta}
    rows["counts"] = f"{separation.cube.counts.spectrum().sum():,.0f} in {separation.sources.shape[1]:,} pixels"
    rows |= {"model": str(header["MODEL"])} if "MODEL" in header else {}
    figures = separation.diagnostics.meta
    fit = [
        f"{name.replace('_', ' ')} {figures[name]:.2f}"
        for name in ("reduced_chi_square", "reduced_cstat")
        if name in figures
    ]
    rows |= {"fit": ", ".join(fit)} if fit else {}
    if separation.parameters is not None:
        table = separation.parameters
        rows["parameters"] = f"{len(table)}, {sum(table['at_limit'])} at a limit, {sum(table['undecided'])} undecided"
    if separation.maps:
        rows["maps"] = ", ".join(f"{each.component} {each.parameter}" for each in separation.maps)
    warnings = kept_warnings(header)
    rows |= {} if warnings is None else {"warnings": str(len(warnings) or "none")}
    pictures = [
        (thumbnail(images[name].data), name, f"{row['counts'].value:,.0f} counts, {row['share']:.1%}")
        for name, row in zip(separation.names, separation.diagnostics)
    ]
    return card("Separation", rows, pictures, warnings or ())
