"""How much a traced function holds: its largest tensor, and all that live at once."""

import collections

# What hands on its input's memory.
ALIASES = {"Identity", "IdentityN", "Reshape", "StopGradient", "ExpandDims", "Squeeze"}


def _bodies(graph, op):
    """Graphs of the functions that an operation calls."""
    for value in op.node_def.attr.values():
        for name in (value.func.name, *(f.name for f in value.list.func)):
            body = graph._get_function(name) if name else None
            if body is not None:
                yield body.graph


def _size(tensor):
    count = tensor.shape.num_elements() if tensor.shape.rank is not None else None
    assert count is not None or tensor.dtype.name in ("variant", "resource"), tensor
    return count or 0


def largest(graph):
    """Elements and name of the largest tensor, those within loops included."""
    found = (0, "")
    for op in graph.get_operations():
        if op.type != "Placeholder":  # Known where it comes from.
            found = max([found, *((_size(x), x.name) for x in op.outputs)])
        found = max([found, *(largest(body) for body in _bodies(graph, op))])
    return found


def live(graph):
    """Most elements that are held at once, in the order of the graph.

    Inputs are not counted; an operation's result and its operands are held together,
    though some kernels work in place.
    """
    operations = graph.get_operations()
    root, uses = {}, collections.Counter()
    for op in operations:
        for number, out in enumerate(op.outputs):
            aliased = op.type in ALIASES and number < len(op.inputs)
            root[out.name] = root[op.inputs[number].name] if aliased else out.name
        uses.update(root[x.name] for x in op.inputs)
    uses.update(root[x.name] for x in graph.outputs)
    now = most = 0
    sizes = {}
    for op in operations:
        if op.type != "Placeholder":
            made = {x.name: _size(x) for x in op.outputs if root[x.name] == x.name}
            sizes |= {name: size for name, size in made.items() if uses[name]}
            now += sum(sizes.get(name, 0) for name in made)
            most = max([most, now, *(now + live(b) for b in _bodies(graph, op))])
        for x in op.inputs:
            uses[root[x.name]] -= 1
            if not uses[root[x.name]]:
                now -= sizes.get(root[x.name], 0)
    return most
