"""What the diagnostics of a separation mean, and what to do where one is bad."""

__all__ = ["COLUMNS", "FIGURES"]

#: Of the columns of ``diagnostics``.
COLUMNS = {
    "counts": "counts of the component in the field",
    "share": "its part of the counts of all components",
    "counts_err": "their standard deviation, with what the split of overlapping components leaves open",
    "library_distance": "distance of the spectrum from its templates, in standard deviations. Above 5: it is "
    "something else, or was pulled by something else; see the warnings",
    "goodness": "reduced chi square where this component is bright; good data have about 1, or less for a line",
}
#: Of the ``meta`` of ``diagnostics``.
FIGURES = {
    "n_iter": "rounds until the spectra stood still",
    "converged": "whether they did. If not: treat errors as too small, or separate with fewer free parameters",
    "residual_sigma": "largest excess of residuals in any block of pixels, in standard deviations. Above 10: look at "
    "the residuals there, and mask it or train a model that has it",
    "reduced_cstat": "C statistic of the blocks over its expectation; good data have about 1",
    "structure_sigma": "how much more the field varies than one of even brightness. Below 6 nothing tells "
    "components apart: fit the spectrum of the field",
    "snr_db": "signal-to-noise ratio of what the network was given (dB)",
    "smooth_converged": "whether smooth images and maps stood still. If not: "
    "take maps as a first look, or ask for fewer",
    "reduced_chi_square": "squares of all residuals over their expectation; good data have about 1",
    "background_amplitude": "factor that was found for the background",
    "background_amplitude_error": "its standard deviation",
    "cause": "likeliest cause of a misfit; the warning says what to do",
    "gain_shift": "of energies (eV), as fitted for the misfit; not applied",
    "gain_stretch": "of energies, relative; not applied",
    "area_change": "of the effective area, relative; not applied",
    "background_counts": "counts of a background that was not given; not applied",
    "spot_y": "row of the point source's pixel; mask it",
    "spot_x": "its column",
}
