"""Names of files: those that clients give, and those that downloads get."""

import re
import unicodedata
from urllib.parse import quote

from serve_app.errors import InvalidFilename

MAX_CHARACTERS = 255

# Browsers write these three into a multipart header in this way, and nothing else
# (https://html.spec.whatwg.org/#multipart-form-data).
_ESCAPED = {"%22": '"', "%0A": "\n", "%0D": "\r"}
_REFUSED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}  # controls, surrogates, line breaks


def checked(name: str, field: str = "file") -> str:
    """Return the name of an uploaded file; InvalidFilename if it is not a plain one.

    `field` is where in the request it was given.
    """
    for escape, character in _ESCAPED.items():
        name = name.replace(escape, character)
    if not name.strip(" ."):
        raise _refused(field, "it has no name", "Choose a file that has one")
    if len(name) > MAX_CHARACTERS:
        limit = f"at most {MAX_CHARACTERS} characters"
        raise _refused(field, f"its name has {len(name)} characters", f"Use {limit}")
    if any(separator in name for separator in "/\\"):
        raise _refused(
            field, "its name has a path in it", "Send the name alone, `song.mp3`"
        )
    if '"' in name:
        raise _refused(field, "its name has double quotes in it", "Leave them out")
    if any(
        unicodedata.category(character) in _REFUSED_CATEGORIES for character in name
    ):
        raise _refused(
            field, "its name has line breaks or control characters", "Remove them"
        )
    return name


def _refused(field: str, reason: str, remedy: str) -> InvalidFilename:
    return InvalidFilename(
        f"The file was refused because {reason}. {remedy}, and send it again.", field
    )


def attachment(name: str) -> str:
    """Return the Content-Disposition under which browsers save a file as `name`.

    Both forms of RFC 6266: ASCII for old clients, UTF-8 for all others.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'[^ -~]|["\\%]', "_", plain)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
