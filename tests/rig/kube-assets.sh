#!/usr/bin/env bash
# kube-assets.sh [CACHE_DIR] - puts a Kubernetes control plane for tests into a cache directory and
# prints that directory (fit for KUBEBUILDER_ASSETS) on stdout: etcd, kube-apiserver,
# kube-controller-manager and, so that pods run without a container engine, kube-scheduler and
# kubemark (with --morph=kubelet the real kubelet on a fake container runtime).
#
# Needs Debian 12 (bookworm) on amd64 with its apt mirror and 3 GB of free disk while it builds.
# Installs no package and changes nothing outside CACHE_DIR.
#
# etcd comes from Debian's binary package. No registry ships a kube-apiserver, so the Kubernetes
# programs are compiled from Debian bookworm's source package "kubernetes" (the last one in
# Debian that still has the servers' source and vendor/), with Debian's Go 1.19 unpacked into a
# private directory. apt checks the signatures of all that is downloaded.
set -euo pipefail

KUBE=1.20.2                # the Kubernetes version in bookworm's source package
PROGRAMS='kube-apiserver kube-controller-manager kube-scheduler kubemark'
RECIPE=1                   # raise it when a change to this script changes what it builds

cache=$(realpath -m "${1:-${PILOTHOUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pilothouse}/kube-assets}")
out=$cache/v$KUBE-r$RECIPE
say() { echo "kube-assets: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/lock"; flock 9                            # one builder at a time
if [ -d "$out" ]; then echo "$out"; exit 0; fi           # published whole, by one mv

work=$cache/work; rm -rf "$work"; mkdir "$work"
trap 'rm -rf "$work"' EXIT
cd "$work"

# 1. download, with a private apt state: the system's mirror, bookworm only, with its sources
say "downloading"
mkdir -p apt/parts apt/lists/partial apt/cache/archives/partial deb
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
printf '%s\n' 'Types: deb deb-src' "URIs: $mirror" 'Suites: bookworm' 'Components: main' \
  'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' > apt/parts/bookworm.sources
aptget() {
  apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt/parts" \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
    -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::Languages=none \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@" >&2
}
aptget update
cd deb
aptget download etcd-server golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev
aptget source --download-only kubernetes
cd ..

# 2. unpack
say "unpacking"
for d in deb/*.deb; do dpkg -x "$d" root; done
k8s=$work/gopath/src/k8s.io/kubernetes; mkdir -p "$k8s"
tar -xzf deb/kubernetes_*really$KUBE.orig.tar.gz -C "$k8s" --strip-components=1
rm -r deb apt
# two vendored libraries that newer Go breaks, mended as upstream did: reflect2 1.0.1 crashes from
# Go 1.18 on (Debian's 1.0.2 does not), and kube-openapi takes "" for null from Go 1.16 on
reflect2=vendor/github.com/modern-go/reflect2
rm "$k8s/$reflect2"/*.{go,s}
cp root/usr/share/gocode/src/${reflect2#vendor/}/*.{go,s} "$k8s/$reflect2/"
sed -i 's/data == nil || reflect.DeepEqual(.*) {$/data == nil {/' \
  "$k8s/vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go"
# let kubemark's kubelet listen on loopback only, and have its socket in $TMPDIR, not in /tmp
sed -i 's/"0\.0\.0\.0"/"127.0.0.1"/' "$k8s/pkg/kubemark/hollow_kubelet.go"
sed -i 's|^const (|import "os"\n\nvar (|; s|"unix:///tmp/|"unix://" + os.TempDir() + "/|' \
  "$k8s/pkg/kubelet/cri/remote/fake/endpoint.go"

# 3. build, in GOPATH mode as upstream built this version
export GOROOT=$work/root/usr/lib/go-1.19 GOPATH=$work/gopath GOCACHE=$work/gocache GOTMPDIR=$work
export GOENV=off GOFLAGS= GO111MODULE=off CGO_ENABLED=0 GOGC=400 LC_ALL=C
go=$GOROOT/bin/go PATH=$GOROOT/bin:$PATH pkg=k8s.io/kubernetes
cd "$k8s"

say "generating the one generated file that the source lacks"    # OpenAPI of the built-in types
"$go" build -o "$work/openapi-gen" $pkg/vendor/k8s.io/kube-openapi/cmd/openapi-gen
grep -RlE --include='*.go' --exclude='zz_generated*' --exclude-dir=_examples \
    '^[[:space:]]*// *\+k8s:openapi-gen=' pkg/apis vendor/k8s.io |
  grep -vE '^vendor/k8s.io/(code-generator|sample-[a-z-]*|kube-openapi)/' |
  xargs -n 1 dirname | sort -u | sed "s#^#$pkg/#" > "$work/api-dirs"
"$work/openapi-gen" --logtostderr -i "$(paste -sd, "$work/api-dirs")" \
  -p $pkg/pkg/generated/openapi -O zz_generated.openapi \
  -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$work/api-violations"

say "compiling, about 5 minutes on 2 cores"
ld='-s -w'
for p in client-go/pkg component-base; do
  v=$pkg/vendor/k8s.io/$p/version
  ld+=" -X $v.gitMajor=1 -X $v.gitMinor=20 -X $v.gitVersion=v$KUBE -X $v.gitTreeState=archive"
done
mkdir "$work/bin"
# shellcheck disable=SC2086
"$go" build -tags providerless,dockerless -trimpath -ldflags "$ld" -o "$work/bin/" \
  $(printf "$pkg/cmd/%s " $PROGRAMS)
cp "$work/root/usr/bin/etcd" "$work/bin/"

# 4. see that they start, then publish
for b in etcd $PROGRAMS; do say "$("$work/bin/$b" --version | head -n 1)"; done
mv "$work/bin" "$out"
echo "$out"
