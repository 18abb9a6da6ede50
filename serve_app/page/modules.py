"""Which modules of the page import which, so that the browser need not find out."""

import posixpath
import re
from collections.abc import Mapping, Sequence

# Statements at the beginning of a line; `import('./x.js')` loads later, on purpose.
_IMPORT = re.compile(
    r"""^(?:import|export)\b[^;'"(]*?(?:\bfrom\s*)?['"](\.{1,2}/[^'"]+)['"]""", re.M
)


def imported(contents: Mapping[str, bytes], entries: Sequence[str]) -> Sequence[str]:
    """Return the modules that `entries` need, with them, each once.

    `contents` has all files by path. Raises ValueError for an entry that is missing,
    and for a module that imports a file that is.
    """
    for name in entries:
        if name not in contents:
            raise ValueError(f"the page's {name} is missing")
    found = list(dict.fromkeys(entries))
    for name in found:
        for path in _IMPORT.findall(contents[name].decode()):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            if other not in contents:
                raise ValueError(f"the page's {name} imports {path}, which is missing")
            if other not in found:
                found.append(other)
    return found
