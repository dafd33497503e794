"""Calls that do not need each other, one after the other or by the workers of a Dask cluster."""

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
        Whose workers do it; the call is sent to each of them once.

    Yields
    ------
    object
        What comes back, in the order of the arguments.
    """
    if client is None:
        yield from map(call, arguments)
        return
    shared = client.scatter(call, broadcast=True, hash=False)
    futures = client.map(_called, [shared] * len(arguments), arguments, pure=False, retries=_RETRIES)
    for future in futures:
        yield future.result()


def _called(call, argument):
    return call(argument)
