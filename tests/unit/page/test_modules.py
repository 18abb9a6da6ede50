"""The modules that a view needs are known before the browser asks for them."""

import pytest

from serve_app.page.bundle import ASSETS
from serve_app.page.modules import imported

FILES = {
    "main.js": b"""// import './comment.js'
import { a } from './lib/a.js'
import {
  b,
  c,
} from './lib/b.js'
import './lib/effect.js'
const later = () => import('./later.js')
const text = "import x from './text.js'"
""",
    "lib/a.js": b"import * as b from './b.js'\nexport { d } from '../d.js'\n",
    "lib/b.js": b"export const b = 1\nexport default 'from ./nothing.js'\n",
    "lib/effect.js": b"import { main } from '../main.js'\n",
    "d.js": b"export const d = 1\n",
    "later.js": b"",
}


def test_modules_are_found_once_and_those_of_later_are_left_out() -> None:
    found = imported(FILES, ["main.js", "lib/b.js"])
    assert found == ["main.js", "lib/b.js", "lib/a.js", "lib/effect.js", "d.js"]


def test_a_module_that_is_missing_is_named() -> None:
    files = {"main.js": b"import './lib/none.js'\n"}
    missing = r"main\.js imports \./lib/none\.js, which is missing"
    with pytest.raises(ValueError, match=missing):
        imported(files, ["main.js"])
    with pytest.raises(ValueError, match=r"views/none\.js is missing"):
        imported(files, ["views/none.js"])


def test_every_module_of_ours_imports_what_is_there() -> None:
    paths = sorted(ASSETS.rglob("*.js"))
    files = {path.relative_to(ASSETS).as_posix(): path.read_bytes() for path in paths}
    assert set(imported(files, list(files))) == set(files)
    assert "lib/dom.js" in imported(files, ["main.js"])
