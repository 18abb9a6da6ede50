"""The routes of the configuration and the models, for clients before an upload."""

from fastapi import APIRouter

from serve_app.api.problems import documented
from serve_app.audio.formats import FORMATS
from serve_app.filenames.titles import SONG_SUFFIXES
from serve_app.stems.http.dependencies import InjectedStems
from serve_app.stems.view import licences_view
from serve_app.stems.wire import Config, Model, ModelList

router = APIRouter(tags=["service"], responses=documented())


@router.head("/config", include_in_schema=False)
@router.get("/config", summary="Get the configuration")
async def config(services: InjectedStems) -> Config:
    """Return the limits, formats and default model of this server."""
    return Config(
        hf_space_url=services.public_url,
        default_model=services.models.default,
        formats=tuple(FORMATS),
        supported_formats=SONG_SUFFIXES,
        max_upload_bytes=services.limits.max_upload_bytes,
        max_file_size_mb=services.limits.max_upload_bytes / 1024**2,
        max_job_disk_bytes=services.limits.max_job_disk_bytes,
        max_client_disk_bytes=services.limits.max_client_disk_bytes,
        retention_seconds=services.limits.retention_seconds,
    )


@router.head("/models", include_in_schema=False)
@router.get("/models", summary="List the models")
async def models(services: InjectedStems) -> ModelList:
    """Return the models that `POST /separate` accepts."""
    offered = [
        Model(
            name=model.name,
            sources=model.sources,
            sample_rate=model.sample_rate,
            trained_on=model.trained_on,
            licence=model.licence,
            licences=licences_view(model.licences),
            description=model.description,
            default=model.name == services.models.default,
        )
        for model in services.models.infos
        if not model.refusal
    ]
    return ModelList(count=len(offered), models=offered)
