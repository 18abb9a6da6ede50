# The published image of this Ray version, with the Python and CUDA that Ray tests.
ARG RAY_IMAGE=rayproject/ray:2.60.0-py311-cu130
FROM ${RAY_IMAGE}

USER root
WORKDIR /app

# Fonts for titles in pictures: Cyrillic, Greek, Chinese, Japanese and Korean. 3 MB.
RUN apt-get update \
    && apt-get install -y --no-install-recommends fonts-dejavu-core fonts-wqy-microhei \
    && rm -rf /var/lib/apt/lists/*

COPY requirements.lock ./
RUN pip install --no-cache-dir uv==0.13.8 \
    && uv pip install --system --no-cache -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY serve_app ./serve_app
COPY deployments ./deployments
COPY configs ./configs
COPY serve_config.yaml ./
RUN uv pip install --system --no-cache --no-deps . \
    && mkdir -p /data && chown ray:users /data

USER ray
ENV STEMSERVE_DATA_DIR=/data \
    STEMSERVE_WEIGHTS_DIR=/data/weights \
    GLIBC_TUNABLES=glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=268435456 \
    FORWARDED_ALLOW_IPS= \
    RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1 \
    RAY_USAGE_STATS_ENABLED=0
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "deployments", "--host", "0.0.0.0", "--port", "8000"]
