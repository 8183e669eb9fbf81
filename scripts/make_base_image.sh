#!/usr/bin/env bash
# Make a stand-in for the images' base, python:3.13-slim, from Debian's packages: for a machine
# that reaches no container registry. As root, with podman and debootstrap:
#   scripts/make_base_image.sh
#   PYTHON_IMAGE=localhost/python-from-debian:3.13 make verify-images CONTAINER=podman
# ARCHITECTURE=arm64 makes it for other processors than this machine's, where they are emulated
# (qemu-user-static and binfmt-support).
set -euo pipefail

architecture=${ARCHITECTURE:-$(dpkg --print-architecture)}
name=${1:-localhost/python-from-debian:3.13}
release=trixie # whose Python is 3.13, and which python:3.13-slim is made from

fail() { echo "make_base_image: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
for program in podman debootstrap; do
  command -v "$program" >/dev/null ||
    fail "$program not found; apt-get install --no-install-recommends podman buildah runc debootstrap"
done

# From where this machine has its own packages.
# shellcheck disable=SC2016 # apt's variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/$') ||
  fail "apt knows no mirror of Debian here"

workshop=$(mktemp -d)
trap 'rm -rf "$workshop"' EXIT
echo "Making $name of Debian $release for $architecture (a minute or two; emulated, ten)"
debootstrap --arch="$architecture" --variant=minbase --include=python3,python3-venv,ca-certificates \
  "$release" "$workshop/root" "$mirror" >"$workshop/log" 2>&1 ||
  { tail -n 5 "$workshop/log" >&2; fail "debootstrap failed"; }
# The official image has its Python there, and calls it so.
ln -s /usr/bin/python3 "$workshop/root/usr/local/bin/python"
rm -rf "$workshop"/root/var/cache/apt/* "$workshop"/root/var/lib/apt/lists/*
tar -C "$workshop/root" -c . | podman import --quiet --arch "$architecture" - "$name" >/dev/null
echo "$name is there"
