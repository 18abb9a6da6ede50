"""How image engines fail."""

from serve_app.errors import AppError


class Stopped(Exception):
    """Nobody wants the images any more."""


class OutOfDeviceMemory(AppError):
    """The device has too little memory for the images; its cache was emptied."""

    code, status, retryable = "device_memory", 503, True


class ModelUnavailable(AppError):
    """The model can't be loaded; the message says what to do."""

    code, status = "model_unavailable", 503
