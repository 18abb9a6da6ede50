"""The finished images, as clients and as the files themselves tell of them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from serve_app.diffusion.port import Made, Step
from serve_app.pictures import pixels

# https://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# The keyword of XMP in PNG: https://github.com/adobe/xmp-docs/tree/master/XMPToolkitSDK
_XMP_KEYWORD = "XML:com.adobe.xmp"
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)

_SOURCE: Mapping[str, str] = {
    "DigitalSourceType": SOURCE_TYPE,
    "Software": "stemserve",
    _XMP_KEYWORD: _XMP,
}


def encoded(made: Made) -> bytes:
    """Return the JSON with the images of a request, and what was really used."""
    used: dict[str, Any] = {
        "model": made.model,
        "licence": made.licence,
        "steps": made.steps,
        "guidanceScale": made.guidance,
        "scheduler": made.scheduler,
        "warnings": list(made.warnings),
    }
    files = [
        pixels.png(image, _texts({"seed": seed, **used}))
        for image, seed in zip(made.images, made.seeds, strict=True)
    ]
    answer = {"images": [_base64(file) for file in files], "seeds": list(made.seeds)}
    return json.dumps({**answer, **used}).encode()


def progress(step: Step) -> bytes:
    """Return the JSON of a step, with its previews as PNG files."""
    previews = [_base64(pixels.png(each, _SOURCE)) for each in step.previews]
    values = {"step": step.number, "steps": step.steps, "previews": previews}
    return json.dumps(values).encode()


def _texts(used: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the chunks of a file; nothing that differs when it is made again."""
    told = {name: _text(value) for name, value in used.items()}
    return {**told, **_SOURCE}


def _text(value: Any) -> str:
    return "\n".join(value) if isinstance(value, list) else str(value)


def _base64(file: bytes) -> str:
    return base64.b64encode(file).decode()
