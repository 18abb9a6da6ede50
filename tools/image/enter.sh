#!/usr/bin/env bash
# Run a command in a root directory as in a container: with /proc, /sys, /dev and the
# name servers of this machine. Start it with `unshare --mount --pid --fork`.
#
# Usage: enter.sh [-r DATA] [-u UID:GID] ROOT COMMAND…
#   -r DATA     the root is read-only; /data is the directory DATA, and /tmp is empty
#   -u UID:GID  run as this user, without any capability
set -euo pipefail

data="" user=""
while getopts r:u: option; do
    case $option in
        r) data=$OPTARG ;;
        u) user=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
root=$1
shift

mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755,size=1m dev dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm
# Docker's default size.
mount -t tmpfs -o mode=1777,size=64m shm dev/shm
mount --bind "$(realpath /etc/resolv.conf)" etc/resolv.conf
mount --bind /etc/hosts etc/hosts
# Certificates of this machine's own network.
if [ -n "${SSL_CERT_FILE:-}" ]; then
    cp "$SSL_CERT_FILE" dev/certificates.pem
fi
if [ -n "$data" ]; then
    mount --bind "$data" data
    mount -t tmpfs -o mode=1777 tmp tmp
    mount -o remount,bind,ro "$root"
fi
enter=(chroot .)
[ -z "$user" ] || enter+=(
    setpriv "--reuid=${user%:*}" "--regid=${user#*:}" --clear-groups
    --no-new-privs --bounding-set=-all --inh-caps=-all
)
exec "${enter[@]}" "$@"
