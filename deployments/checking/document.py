"""YAML documents that know the line of each value."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from deployments.checking.fault import Fault, Place

_BLOCK_STYLES = ("|", ">")
# Ten times as fast, where it is built in.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class InvalidYaml(ValueError):
    """A text that is not YAML: the line, and the reason."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"invalid YAML: {self.reason}."


@dataclass(frozen=True)
class Document:
    """A document of a YAML text: its values, and the nodes that they were read from.

    `faults` are keys that a mapping has twice, of which YAML drops the first.
    """

    data: Any
    node: yaml.Node
    first_line: int
    faults: Sequence[Fault] = ()

    def line(self, place: Place) -> int:
        """Return the line of a place; of what encloses it if there is no such place."""
        return self._found(place)[0]

    def block_line(self, place: Place) -> int | None:
        """Return the first line of a text in block style (`|`); None for others."""
        line, node = self._found(place)
        is_block = isinstance(node, yaml.ScalarNode) and node.style in _BLOCK_STYLES
        return line + 1 if is_block else None

    def _found(self, place: Place) -> tuple[int, yaml.Node]:
        line, node = self.node.start_mark.line, self.node
        for step in place:
            # The last one, because that is the one that counts.
            found = [(at, child) for key, at, child in _children(node) if key == step]
            if not found:
                break
            line, node = found[-1]
        return self.first_line + line, node


def read(text: str, first_line: int = 1) -> Sequence[Document]:
    """Return the documents of a text that begins at a line of its file.

    Empty documents are left out. Raises InvalidYaml.
    """
    try:
        return list(_documents(text, first_line))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What is missing at the end is missing on the last line.
        line = min(mark.line, len(text.splitlines()) - 1) if mark else 0
        raise InvalidYaml(first_line + line, str(error.problem)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidYaml(first_line, " ".join(str(error).split())) from error


def _documents(text: str, first_line: int) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while (node := loader.get_node() if loader.check_node() else None) is not None:
            # Before the values are made, which merges those of `<<` into the node.
            faults = list(_repeated(node, ()))
            data = loader.construct_document(node)
            if data is not None:
                yield Document(data, node, first_line, faults)
    finally:
        loader.dispose()


def _repeated(node: yaml.Node, place: Place) -> Iterator[Fault]:
    seen = set()
    for key, _, child in _children(node):
        here = (*place, key)
        if key in seen:
            yield Fault(here, f"`{key}` is repeated: remove one of them.")
        seen.add(key)
        yield from _repeated(child, here)


def _children(node: yaml.Node) -> Iterator[tuple[str | int, int, yaml.Node]]:
    """Yield key or index, line and node of the values in a mapping or a sequence."""
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            yield str(key.value), key.start_mark.line, child
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield index, child.start_mark.line, child
