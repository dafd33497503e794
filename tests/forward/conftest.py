from ..cube.conftest import cube, events

__all__ = ["cube", "events"]
