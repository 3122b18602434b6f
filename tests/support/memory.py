"""A module that has memory for small batches alone."""

FULL = "DefaultCPUAllocator: not enough memory: you tried to allocate"


def short_of_memory(monkeypatch, module, most, message=FULL):
    """Let a module fail, as for want of memory, on batches of more than `most` rows.

    Returns a list that the size of each batch it is given is added to.
    """
    forward, sizes = module.forward, []

    def small_only(values):
        sizes.append(len(values))
        if len(values) > most:
            raise RuntimeError(message)
        return forward(values)

    monkeypatch.setattr(module, "forward", small_only)
    return sizes
