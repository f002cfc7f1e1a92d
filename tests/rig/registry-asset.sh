#!/usr/bin/env bash
# registry-asset.sh [CACHE_DIR] - puts a real container registry (Debian's docker-registry) into a cache directory and
# prints its path on stdout.
#
# Needs Debian or Ubuntu. Changes nothing outside CACHE_DIR: installing the package would start a service that listens
# for everybody, so it is only unpacked. apt checks its signature.
set -euo pipefail

cache=$(realpath -m "${1:-${PILOTHOUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pilothouse}/registry}")
out=$cache/bin
say() { echo "registry-asset: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/lock"; flock 9                                                    # one at a time
if [ -x "$out/docker-registry" ]; then echo "$out/docker-registry"; exit 0; fi   # published whole, by one mv

command -v apt-get dpkg-deb > /dev/null || { say "there is no apt-get here"; exit 1; }
work=$cache/work; rm -rf "$work"; mkdir "$work"
trap 'rm -rf "$work"' EXIT
cd "$work"

say "downloading"
apt-get download -qq -o APT::Sandbox::User=root docker-registry >&2 || { say "apt cannot fetch docker-registry"; exit 1; }
dpkg-deb -x ./*.deb unpacked
mkdir bin
mv unpacked/usr/bin/docker-registry bin/
mv bin "$out"
echo "$out/docker-registry"
