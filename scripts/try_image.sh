#!/usr/bin/env bash
# Carry out the Dockerfile's steps without a container engine, in a root that debootstrap
# makes, and separate a song with the result: read-only, as the image's user, offline.
# Needs root on Debian, debootstrap, iproute2, and 8 GB of disk.
#
# Usage: scripts/try_image.sh WORK [--build-arg NAME=VALUE]… [--no-try]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(realpath -m "$1")
shift

if [ "$(id -u)" != 0 ]; then
    echo "scripts/try_image.sh must run as root, because it uses chroot and mount." >&2
    exit 1
fi
for program in debootstrap ip unshare; do
    command -v "$program" >/dev/null || {
        echo "$program is missing. On Debian: apt-get install debootstrap iproute2" >&2
        exit 1
    }
done

# The release that the Dockerfile names.
release=$(sed -n 's/^ARG DEBIAN=debian:\([a-z]*\)-slim$/\1/p' Dockerfile)
mkdir -p "$work"
base=$work/base
if [ ! -e "$base/complete" ]; then
    rm -rf "$base"
    debootstrap --variant=minbase "$release" "$base" >"$work/debootstrap.log"
    # As in the official slim image: security updates, no caches, no documentation.
    rm "$base/etc/apt/sources.list"
    cp /etc/apt/sources.list.d/debian.sources "$base/etc/apt/sources.list.d/"
    echo 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' >"$base/etc/apt/apt.conf.d/clean"
    printf 'path-exclude=/usr/share/%s/*\n' doc man locale >"$base/etc/dpkg/dpkg.cfg.d/slim"
    rm -rf "$base"/usr/share/{doc,man,locale}/* "$base"/var/lib/apt/lists/*
    rm -f "$base"/var/cache/apt/{*.bin,archives/*.deb}
    : >"$base/etc/resolv.conf"
    touch "$base/etc/hosts" "$base/complete"
fi
python=${PYTHON:-.venv/bin/python}
if [ ! -e "$work/cache" ]; then
    # Packages that uv has already: linked, so that they take no more disk.
    cp --archive --link "$("$python" -m uv cache dir)" "$work/cache" || rm -rf "$work/cache"
fi
"$python" -m tools.image "$work" --base "$base" "$@"
