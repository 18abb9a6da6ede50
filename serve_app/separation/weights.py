"""Download, verify and load weights. Torch is imported only to load them."""

import hashlib
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from serve_app.errors import WeightsUnavailable, disk_full_as_unavailable
from serve_app.separation import download
from serve_app.separation.models import ModelSpec, Progress, Weighted

if TYPE_CHECKING:
    import torch

_ASSETS = Path(__file__).parent / "assets"


class WeightsCache:
    """A directory of downloaded weights, shared by all processes of a machine.

    `mirror` (a base URL, or a local directory or file) replaces the public address.
    """

    def __init__(
        self, directory: Path, mirror: str | None = None, timeout_seconds: float = 60.0
    ) -> None:
        self._directory = directory
        self._mirror = mirror
        self._timeout_seconds = timeout_seconds

    def path(self, spec: Weighted) -> Path | None:
        """Return the file of `spec`'s weights if it exists; it is not verified."""
        path = self._place(spec)
        return path if path.is_file() else None

    def pull(self, spec: Weighted, progress: Progress | None = None) -> Path:
        """Return the file of `spec`'s weights; download it unless a valid one exists.

        An interrupted download is resumed. If several processes pull, one downloads and
        the others wait. `progress` gets the bytes done and their total, if known.
        Raises WeightsUnavailable if the download fails or has a wrong hash, StorageFull
        if the disk is full.
        """
        place = self._place(spec)
        if spec.weights.is_bundled:
            if not place.is_file():
                raise WeightsUnavailable(f"{place} is missing. Reinstall stemserve.")
            return place
        try:
            with disk_full_as_unavailable():
                self._directory.mkdir(parents=True, exist_ok=True)
                with FileLock(place.with_name(f"{place.name}.lock")):
                    if not (place.is_file() and _is_sound(spec, place)):
                        self._fetch(spec, place, progress)
        except OSError as err:
            raise WeightsUnavailable(
                f"The weights of {spec.name} can't be stored in {self._directory}: "
                f"{err}. Set STEMSERVE_WEIGHTS_DIR to a writable directory with enough "
                "space."
            ) from err
        return place

    def _place(self, spec: Weighted) -> Path:
        folder = _ASSETS if spec.weights.is_bundled else self._directory
        return folder / spec.weights.filename

    def _fetch(self, spec: Weighted, place: Path, progress: Progress | None) -> None:
        """Download the weights to `place`; the file appears only if it is valid."""
        partial = place.with_name(f"{place.name}.part")
        local = self._local_mirror(spec)
        if local is not None:
            download.discard(partial)
            _copy(local, partial)
        else:
            download.fetch(self._url(spec), partial, self._timeout_seconds, progress)
        found, expected = sha256(partial), _expected_sha256(spec, place)
        if expected is not None and found != expected:
            download.discard(partial)
            raise WeightsUnavailable(
                f"The weights downloaded for {spec.name} were deleted: their SHA-256 "
                f"is {found}, not {expected}. Try again, or use another mirror."
            )
        _record(place).write_text(f"{found}\n")
        partial.replace(place)
        download.discard(partial)

    def _url(self, spec: Weighted) -> str:
        if self._mirror is None:
            return spec.weights.address
        return f"{self._mirror.rstrip('/')}/{spec.weights.filename}"

    def _local_mirror(self, spec: Weighted) -> Path | None:
        """Return the file of a local mirror; None if the mirror is remote."""
        if self._mirror is None or self._mirror.startswith(("http://", "https://")):
            return None
        path = Path(self._mirror)
        if self._mirror.startswith("file://"):
            path = Path(unquote(urlsplit(self._mirror).path))
        return path if path.is_file() else path / spec.weights.filename


def load(spec: ModelSpec, path: Path) -> "torch.nn.Module":
    """Return `spec`'s network with the weights of `path`, in float32, for inference.

    Reads `.safetensors`; any other suffix as a torch checkpoint with tensors only.
    Raises WeightsUnavailable if the file is missing, its hash is not the pinned or
    recorded one, or it has no weights for this network.
    """
    if not path.is_file():
        raise WeightsUnavailable(
            f"{path} is missing. Run `stemserve models pull {spec.name}`."
        )
    if not _is_sound(spec, path):
        raise WeightsUnavailable(
            f"{path} has changed since it was downloaded: its SHA-256 is not "
            f"{_expected_sha256(spec, path)}. Run `stemserve models pull {spec.name}`."
        )
    network = spec.make(spec.sources)
    try:
        network.load_state_dict(_read(path))
    except (RuntimeError, TypeError) as err:
        # Shortened: the full message names every tensor of the network.
        reason = " ".join(str(err).split())[:300]
        raise WeightsUnavailable(
            f"{path} has no weights for {spec.name}: {reason}"
        ) from err
    return network.requires_grad_(False).eval()


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> "dict[str, torch.Tensor]":
    """Return the tensors in a file of weights by name."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Tensors only, because a pickle can run any code.
        state: dict[str, torch.Tensor] = torch.load(
            path, map_location="cpu", weights_only=True
        )
    except (
        *(OSError, EOFError, RuntimeError, ValueError, KeyError),
        *(pickle.UnpicklingError, SafetensorError),
    ) as err:
        raise WeightsUnavailable(
            f"{path} is not a valid file of weights ({type(err).__name__}). Delete it "
            "and download it again."
        ) from err
    return state


def _record(place: Path) -> Path:
    return place.with_name(f"{place.name}.sha256")


def _expected_sha256(spec: Weighted, place: Path) -> str | None:
    """Return the pinned hash, or the one recorded beside `place`, or None."""
    if spec.weights.sha256 is not None:
        return spec.weights.sha256
    try:
        return _record(place).read_text().strip()
    except FileNotFoundError:
        return None


def _is_sound(spec: Weighted, path: Path) -> bool:
    expected = _expected_sha256(spec, path)
    return expected is None or sha256(path) == expected


def _copy(source: Path, partial: Path) -> None:
    try:
        shutil.copyfile(source, partial)
    except FileNotFoundError as err:
        raise WeightsUnavailable(
            f"The mirror has no {source}. Put the file there, or unset "
            "STEMSERVE_WEIGHTS_MIRROR to download it."
        ) from err
