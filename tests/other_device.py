"""A device for tests, where there is no other: its tensors are the CPU's, but do not mix with these.

As on a GPU, an operation with tensors of both is an error, but for single numbers and indices, and NumPy has to be
given a copy (``.cpu()``).
"""

from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"  # which is always there, and where nothing of torch computes


class There(torch.Tensor):
    """A tensor on it."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, own):
        layout = {"strides": own.stride(), "storage_offset": own.storage_offset(), "dtype": own.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, own.shape, device=NAME, **layout)

    def __init__(self, own):
        self.own = own

    @classmethod
    def __torch_dispatch__(cls, operation, types, given=(), options=None):
        return _done(operation, given, options or {})


class _Operations(TorchDispatchMode):
    n_there = 0

    def __torch_dispatch__(self, operation, types, given=(), options=None):
        self.n_there += any(isinstance(each, There) for each in tree_flatten((given, options))[0])
        return _done(operation, given, options or {})


def _done(operation, given, options):
    tensors = [each for each in tree_flatten((given, options))[0] if isinstance(each, torch.Tensor)]
    there, here = ([each for each in tensors if isinstance(each, There) == kind] for kind in (True, False))
    name, is_there, asked = operation.overloadpacket.__name__, bool(there), options.get("device")
    if there and any(each.dim() for each in here) and "copy" not in name and "index" not in name:
        msg = f"{name} has tensors of the CPU, {[tuple(each.shape) for each in here]}, and of another device."
        raise RuntimeError(msg)
    if asked is not None:
        is_there, options = torch.device(asked).type == NAME, {**options, "device": "cpu"}
    known = {id(each.own): each for each in there}
    own_given, options = tree_map(lambda each: each.own if isinstance(each, There) else each, (given, options))
    found = operation(*own_given, **options)
    if name in ("copy_", "fill_"):
        return given[0]

    def placed(each):
        if not is_there or not isinstance(each, torch.Tensor):
            return each
        return known[id(each)] if id(each) in known else There(each.resolve_conj().resolve_neg())

    return tree_map(placed, found)


class _Generator(torch.Generator):
    def __new__(cls, device=None):
        return super().__new__(cls)  # of the CPU


@contextmanager
def other_device():
    """Have ``device=NAME`` compute; ``n_there`` of what is given are the operations there."""
    with _Operations() as operations, patch.object(torch, "Generator", _Generator):
        yield operations
