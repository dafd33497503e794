"""Calls that do not need each other, one after the other or by the workers of a Dask cluster."""

import warnings

__all__ = ["run_each"]

_RETRIES = 3  # of a call whose worker was lost


def run_each(call, arguments, client=None):
    """Call something with each of several arguments.

    Parameters
    ----------
    call : callable
        That can be pickled, where there is a client.
    arguments : list
    client : ``dask.distributed.Client``, optional
        Whose workers do it, as soon as there are any. What a lost one had done is done again.

    Yields
    ------
    object
        What comes back, in the order of the arguments.
    """
    if client is None:
        yield from map(call, arguments)
        return
    # A task of its own: sent once, made anew where all that had it were lost, and waiting until there is a worker.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        shared = client.submit(_given, call, pure=False)
    futures = client.map(_called, [shared] * len(arguments), arguments, pure=False, retries=_RETRIES)
    while futures:  # what has come back is no longer kept by the workers
        yield futures.pop(0).result()


def _given(call):
    return call


def _called(call, argument):
    return call(argument)
