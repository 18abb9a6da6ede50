# The image of the service, for Docker, Kubernetes and Hugging Face Spaces: see
# docs/operations/image.md. All packages are Debian's, or pinned by hash in a lock file.
#
# docker build --build-arg DEVICE=cpu --build-arg WEIGHTS=hdemucs_high_musdb_plus .
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS build
WORKDIR /build
# Security updates have other versions.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*

COPY requirements-build.lock ./
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
ENV PATH=/opt/build/bin:$PATH

# torch is linked to most of CUDA's libraries, but without a GPU it never loads these.
ARG DEVICE=cuda
RUN case "$DEVICE" in \
        cuda) touch excluded.txt ;; \
        cpu) printf '%s\n' triton nvidia-cusolver nvidia-cuda-nvrtc cuda-bindings \
            cuda-pathfinder >excluded.txt ;; \
        *) echo "DEVICE must be cpu or cuda, got '$DEVICE'." >&2; exit 1 ;; \
    esac
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv --python /usr/bin/python3 /opt/stemserve \
    && uv pip install --python /opt/stemserve --require-hashes --no-deps \
        --excludes excluded.txt --compile-bytecode -r requirements.lock \
    && find /opt/stemserve/lib -type d \( -name tests -o -path '*/torch/include' \) -prune \
        -exec rm -r {} + \
    && if [ "$DEVICE" = cpu ]; then \
        find /opt/stemserve/lib -type f \( -name 'libcudnn_*' \
            -o -name libtorch_cuda_linalg.so -o -name ptxas \) -delete; \
    fi

# In a folder of its own, so that a change of the code renews a small layer only.
COPY pyproject.toml README.md LICENSE ./
COPY serve_app ./serve_app
COPY deployments ./deployments
COPY configs ./configs
RUN hatchling build -t wheel -d /build/dist \
    && uv pip install --python /opt/stemserve --prefix /opt/code --no-deps --no-index \
        --no-cache --compile-bytecode /build/dist/*.whl

# Names of models, separated by spaces, whose weights the image contains.
ARG WEIGHTS=
ARG WEIGHTS_MIRROR=
ENV PATH=/opt/stemserve/bin:$PATH
RUN mkdir /opt/weights \
    && export STEMSERVE_WEIGHTS_DIR=/opt/weights STEMSERVE_WEIGHTS_MIRROR="$WEIGHTS_MIRROR" \
        PYTHONPATH=/opt/code/lib/python3.11/site-packages \
    && for model in $WEIGHTS; do \
        python -m serve_app.cli models pull "$model" || exit 1; \
    done


FROM ${DEBIAN}
# KubeRay's probes need bash and wget. The fonts are for titles in pictures: Cyrillic,
# Greek, Chinese, Japanese and Korean.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates fonts-dejavu-core fonts-wqy-microhei python3 tini wget \
    && rm -rf /var/lib/apt/lists/*
# Spaces run every image as the user 1000.
RUN groupadd --gid 1000 stemserve \
    && useradd --uid 1000 --gid 1000 --home-dir /data --no-create-home stemserve \
    && install --directory --owner 1000 --group 1000 --mode 750 /data

COPY --from=build /opt/stemserve /opt/stemserve
COPY --from=build /opt/code /opt/stemserve
COPY --from=build /opt/weights /opt/weights

ARG WEIGHTS=
ENV PATH=/opt/stemserve/bin:$PATH \
    HOME=/data \
    PORT=7860 \
    STEMSERVE_DATA_DIR=/data \
    STEMSERVE_WEIGHTS_DIR=/data/weights \
    STEMSERVE_WEIGHTS_MIRROR=${WEIGHTS:+/opt/weights} \
    GLIBC_TUNABLES=glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=268435456:glibc.malloc.arena_max=2 \
    FORWARDED_ALLOW_IPS= \
    RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deployments.gate:middlewares \
    RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP=0 \
    RAY_USAGE_STATS_ENABLED=0 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt/stemserve
USER 1000:1000
VOLUME /data
EXPOSE 7860
# Serve's own health page: it responds whatever STEMSERVE_ALLOWED_HOSTS is.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m \
    CMD ["sh", "-c", "exec wget -q -O /dev/null \"http://127.0.0.1:${PORT:-7860}/-/healthz\""]
ENTRYPOINT ["tini", "--"]
CMD ["sh", "-c", "exec stemserve serve --host 0.0.0.0 --port \"${PORT:-7860}\""]
