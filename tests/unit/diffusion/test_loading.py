import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file

from serve_app.diffusion import devices, sources
from serve_app.diffusion.errors import ModelUnavailable
from serve_app.diffusion.loading import load
from serve_app.diffusion.port import ImageRequest
from serve_app.errors import InvalidInput
from tests.unit.diffusion.conftest import options
from tests.unit.diffusion.pipelines import (
    arrays,
    difference,
    generators,
    make,
    picture,
    plain,
    recorded,
)

CAT = ImageRequest("a cat", 64, 64, (1,), steps=3, guidance=2.0)
OLD, NEW = (
    "runwayml/stable-diffusion-v1-5",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
)


@pytest.fixture
def copied(sd_directory: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sd_directory, tmp_path / "copy"))


def test_the_tiny_model_says_loudly_what_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    facts = load(options(Path("tiny"))).facts()
    assert "random weights" in facts.model
    assert "noise" in facts.notes[0]
    assert facts.notes[0] in caplog.text
    assert facts.device == "cpu"


def test_the_tiny_model_is_the_same_every_time_and_leaves_the_seed_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    engines = [load(options(Path("tiny"))) for _ in range(2)]
    assert torch.equal(torch.rand(1), expected)
    images = [make(engine, CAT)[0].images for engine in engines]
    assert difference(*images) == 0


def test_facts_tell_the_model_and_how_it_runs(sd_directory: Path) -> None:
    facts = load(options(sd_directory, steps=7, guidance=3.0)).facts()
    assert (facts.model, facts.licence) == ("sd", "unknown")
    assert (facts.device, facts.precision) == ("cpu", "fp32")
    assert (facts.steps, facts.guidance) == (7, 3.0)
    assert facts.scheduler == "PNDMScheduler"
    assert facts.memory_optimizations == ("vae_slicing",)
    assert not facts.few_steps
    assert facts.notes == ()


@pytest.mark.parametrize("model_id", [OLD, NEW])
@pytest.mark.parametrize("place", [NEW, "stable-diffusion-v1-5"])
def test_a_mirror_has_models_by_id_or_by_name(
    model_id: str, place: str, sd_directory: Path, tmp_path: Path
) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).symlink_to(sd_directory)
    chosen = replace(
        options(sd_directory), model_id=model_id, weights_dir=tmp_path, scheduler="ddim"
    )
    facts = load(chosen).facts()
    assert facts.model == NEW
    assert facts.licence == "creativeml-openrail-m"
    assert facts.scheduler == "DDIMScheduler"


def test_a_model_is_loaded_from_the_hubs_cache_without_a_network(
    sd_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0" * 40
    repository = tmp_path / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(sd_directory, repository / "snapshots" / commit)
    card = "---\nlanguage: en\nlicense: other\nlicense_name: mine-1.0\n---\n# Model\n"
    (repository / "snapshots" / commit / "README.md").write_text(card)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    engine = load(replace(options(sd_directory), model_id="someone/model"))
    assert engine.facts().model == "someone/model"
    assert engine.facts().licence == "mine-1.0"
    with pytest.raises(ModelUnavailable, match=r"someone/other can't be loaded: .*id"):
        load(replace(options(sd_directory), model_id="someone/other"))


def test_pickled_weights_are_refused(copied: Path) -> None:
    [weights] = (copied / "unet").glob("*.safetensors")
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    load(options(copied))
    weights.unlink()
    with pytest.raises(ModelUnavailable, match=r"pickled weights in `unet`.*Convert"):
        load(options(copied))


def test_a_checkpoint_in_one_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"\x80\x02.")
    with pytest.raises(ModelUnavailable, match=r"single file.*save_pretrained"):
        load(options(file))


@pytest.mark.parametrize(
    "changed",
    [
        {"_class_name": ["mine", "MyPipeline"]},
        {"unet": ["my_unet", "MyUnet"]},
        {"unet": ["os", "system"]},
    ],
)
def test_a_model_with_code_of_its_own_is_refused(
    changed: dict[str, Any], copied: Path
) -> None:
    index = copied / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **changed}))
    for place in (copied / "mine.py", copied / "unet" / "my_unet.py"):
        place.write_text("raise SystemExit('this code must not run')")
    with pytest.raises(ModelUnavailable, match="code of its own"):
        load(options(copied))


def test_a_directory_that_is_no_model_is_refused(tmp_path: Path) -> None:
    for text in (None, "{", "[]"):
        if text is not None:
            (tmp_path / "model_index.json").write_text(text)
        with pytest.raises(ModelUnavailable, match=r"model_index\.json"):
            load(options(tmp_path))


def test_an_incomplete_model_is_refused(copied: Path) -> None:
    shutil.rmtree(copied / "vae")
    with pytest.raises(
        ModelUnavailable, match="must be a model for text to image"
    ) as e:
        load(options(copied))
    # Clients read it too.
    assert str(copied.parent) not in e.value.detail


@pytest.mark.parametrize("place", ["gone/model", "/gone/model", "~/gone", "./gone"])
def test_a_directory_that_does_not_exist_is_named_as_such(
    place: str, tmp_path: Path
) -> None:
    model_id = str(tmp_path / place) if place == "gone/model" else place
    with pytest.raises(ModelUnavailable, match=r"^The directory \w+ .*not exist") as e:
        load(replace(options(tmp_path), model_id=model_id))
    assert "/" not in e.value.detail


def test_weights_in_half_precision_only_are_found(copied: Path) -> None:
    for folder in ("unet", "vae", "text_encoder"):
        for file in (copied / folder).glob("*.safetensors"):
            file.rename(file.with_suffix(".fp16.safetensors"))
    assert sources.variant(copied) == "fp16"
    assert make(load(options(copied)), CAT)[0].images[0].shape == (64, 64, 3)


def test_an_unknown_scheduler_is_refused(sd_directory: Path) -> None:
    with pytest.raises(InvalidInput, match="no scheduler 'fast'"):
        load(options(sd_directory, scheduler="fast"))


def test_a_lora_is_part_of_the_weights_and_of_the_sampling(
    sd_directory: Path, lora: Path
) -> None:
    engine = load(options(sd_directory, lora_id=str(lora)))
    facts = engine.facts()
    assert (facts.steps, facts.guidance, facts.few_steps) == (6, 1.0, True)
    assert (facts.scheduler, facts.notes) == ("LCMScheduler", ())
    script = plain(sd_directory)
    script.load_lora_weights(lora)
    script.fuse_lora()
    lcm = load(options(sd_directory, lora_id=str(lora), scheduler="pndm"))
    expected = script(
        prompt="a cat",
        **{"width": 64, "height": 64, "generator": generators(1)},
        **{"num_inference_steps": 3, "guidance_scale": 2.0},
    )
    assert difference(make(lcm, CAT)[0].images, arrays(expected)) == 0
    bare = make(load(options(sd_directory)), CAT)[0]
    assert difference(bare.images, arrays(expected)) > 0, "the LoRA changes images"


def spoil(lora: Path, how: str) -> None:
    file = lora / "pytorch_lora_weights.safetensors"
    if how == "damaged":
        file.write_bytes(file.read_bytes()[:100])
    elif how == "missing":
        file.unlink()
    elif how == "pickled":
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
    else:
        wrong = {name: value.repeat(3, 3) for name, value in load_file(file).items()}
        foreign = {"transformer.blocks.9.lora_A.weight": torch.zeros(2, 2)}
        save_file(wrong if how == "larger" else foreign, file)


@pytest.mark.parametrize("how", ["damaged", "missing", "pickled", "larger", "foreign"])
def test_a_lora_that_does_not_load_is_a_note(
    how: str, sd_directory: Path, lora: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(lora, tmp_path / "lora"))
    spoil(broken, how)
    engine = load(options(sd_directory, lora_id=str(broken)))
    [note] = engine.facts().notes
    assert "was not loaded" in note
    assert str(tmp_path) not in note
    assert not engine.facts().few_steps
    images = make(load(options(sd_directory)), CAT)[0].images
    assert difference(make(engine, CAT)[0].images, images) == 0


def test_sdxl_lightning_runs_euler_with_trailing_steps(
    xl_directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "sdxl-lightning").symlink_to(xl_directory)
    engine = load(options(tmp_path / "sdxl-lightning"))
    facts = engine.facts()
    assert (facts.steps, facts.guidance, facts.few_steps) == (4, 1.0, True)
    script = plain(xl_directory)
    script.scheduler = EulerDiscreteScheduler.from_config(
        script.scheduler.config, timestep_spacing="trailing"
    )
    expected = script(
        prompt="a cat",
        **{"width": 64, "height": 64, "generator": generators(1)},
        **{"num_inference_steps": 4, "guidance_scale": 0.0},
    )
    made = make(engine, replace(CAT, steps=None, guidance=None))[0]
    assert difference(made.images, arrays(expected)) == 0


def test_image_to_image_takes_no_second_copy_of_the_weights(
    sd_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asserted on the networks that compute."""
    used: set[int] = set()
    real = UNet2DConditionModel.forward

    def forward(network: Any, *args: Any, **kwargs: Any) -> Any:
        used.add(id(network))
        return real(network, *args, **kwargs)

    monkeypatch.setattr(UNet2DConditionModel, "forward", forward)
    engine = load(options(sd_directory))
    for request in (CAT, replace(CAT, images=(picture(1),))):
        assert make(engine, request)[0].images
    assert len(used) == 1


def test_a_device_that_is_missing_is_replaced_with_a_note(sd_directory: Path) -> None:
    facts = load(options(sd_directory, device="cuda:99")).facts()
    assert facts.device in ("cpu", "cuda", "mps")
    assert "no device 'cuda:99' here" in facts.notes[0]
    assert devices.resolve("nonsense")[0].type in ("cpu", "cuda", "mps")
    assert devices.resolve("auto") == devices.resolve("")


@pytest.mark.parametrize(("has_it", "expected"), [(True, "bf16"), (False, "fp32")])
def test_half_precision_of_gpus_is_replaced_on_cpus(
    has_it: bool, expected: str, sd_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_it)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    facts = load(options(sd_directory, precision="fp16")).facts()
    assert facts.precision == expected
    assert "fp16" in facts.notes[0]
    assert devices.precision("auto", torch.device("cpu")) == (expected, ())


def test_models_and_loras_have_known_licences(tmp_path: Path) -> None:
    assert sources.licence(tmp_path, OLD) == "creativeml-openrail-m"
    assert sources.licence(tmp_path, "someone/model") == "unknown"
    (tmp_path / "README.md").write_text("---\nlicense: openrail++\ntags:\n---\n")
    assert sources.licence(tmp_path, "someone/model") == "openrail++"
    (tmp_path / "README.md").write_text("# A model\nlicense: mine\n")
    assert sources.licence(tmp_path, "someone/model") == "unknown"


def test_the_network_is_compiled_if_asked(
    sd_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[type] = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda network: compiled.append(type(network))
    )
    load(options(sd_directory))
    assert compiled == []
    load(options(sd_directory, compiled=True))
    assert compiled == [UNet2DConditionModel]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), ModelUnavailable),
        (RuntimeError("no kernel image"), RuntimeError),
    ],
)
def test_a_model_that_is_too_large_for_its_device_says_so(
    error: Exception,
    expected: type[Exception],
    sd_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def move(*_: object) -> None:
        raise error

    monkeypatch.setattr(StableDiffusionPipeline, "to", move)
    with pytest.raises(expected, match=r"cpu has too little memory|no kernel image"):
        load(options(sd_directory))


def test_memory_is_spared_where_there_is_little(
    sd_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "is_small", lambda _: True)
    engine = load(options(sd_directory))
    assert engine.facts().memory_optimizations == ("vae_slicing", "vae_tiling")
    assert make(engine, replace(CAT, width=128))[0].images[0].shape == (64, 128, 3)


def test_a_distilled_model_takes_guidance_as_an_input(
    sd_directory: Path, tmp_path: Path
) -> None:
    """Latent consistency models compute each image once, whatever the guidance."""
    pipeline = plain(sd_directory)
    pipeline.unet = UNet2DConditionModel.from_config(
        pipeline.unet.config, time_cond_proj_dim=8
    )
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config)
    pipeline.save_pretrained(tmp_path)
    engine = load(options(tmp_path))
    assert (engine.facts().steps, engine.facts().guidance) == (4, 8.0)
    with recorded() as calls:
        made = make(engine, replace(CAT, steps=3, guidance=9.0))[0]
    assert calls.steps == [1] * 3
    assert (made.scheduler, made.guidance) == ("LCMScheduler", 9.0)


def test_the_scheduler_of_lcm_is_for_models_of_lcm(sd_directory: Path) -> None:
    """It has a schedule of 50 steps, so that 150 would fail."""
    engine = load(options(sd_directory, scheduler="LCM"))
    assert engine.facts().few_steps
    assert make(engine, replace(CAT, steps=150))[0].steps == 8


def test_a_turbo_model_takes_few_steps(sd_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "sd-turbo").symlink_to(sd_directory)
    facts = load(options(tmp_path / "sd-turbo")).facts()
    assert (facts.steps, facts.guidance, facts.few_steps) == (2, 1.0, True)


def test_a_lora_comes_from_the_hub_under_its_name_there(
    lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        if repository == "someone/missing":
            raise FileNotFoundError("no such repository.\nTraceback")
        return str(lora / "pytorch_lora_weights.safetensors")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    for lora_id in ("latent-consistency/lcm-lora-sdv1-5", "ByteDance/SDXL-Lightning"):
        assert sources.lora_file(lora_id, None).parent == lora
    assert asked == [
        ("latent-consistency/lcm-lora-sdv1-5", "pytorch_lora_weights.safetensors"),
        ("ByteDance/SDXL-Lightning", "sdxl_lightning_4step_lora.safetensors"),
    ]
    with pytest.raises(ModelUnavailable, match=r"no such repository\. Check the id"):
        sources.lora_file("someone/missing", None)
