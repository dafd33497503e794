"""What to cite, as BibTeX."""

__all__ = ["CITATION"]

#: Software and method; CITATION.cff, in the repository, has the same.
CITATION = """\
@software{astro_lpalm,
  author  = {{The astro_lpalm developers}},
  title   = {astro_lpalm: separate X-ray observations into their physical components},
  version = {0.1},
  license = {BSD-3-Clause},
}

@inproceedings{fahes2022,
  author    = {Fahes, Mohammad and Kervazo, Christophe and Bobin, J{\\'e}r{\\^o}me and Tupin, Florence},
  title     = {Unrolling {PALM} for sparse semi-blind source separation},
  booktitle = {International Conference on Learning Representations},
  year      = {2022},
  eprint    = {2112.05694},
  archivePrefix = {arXiv},
}
"""
