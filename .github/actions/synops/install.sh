#!/usr/bin/env bash
# Puts synops of release $SYNOPS_TAG on the runner's PATH. A release's program is
# taken only when its checksum is the published one and its attestation says that our
# release workflow built it from that tag: anything else ends the job. Where
# $SYNOPS_FROM_SOURCE is "true" there are no releases, and the tag is built here.
set -euo pipefail

core=Sage-Bionetworks/synapse-ops-core
tag=${SYNOPS_TAG:?}
dir=$(mktemp -d "${RUNNER_TEMP:-/tmp}/synops.XXXXXXXX")
mkdir "$dir/bin" "$dir/release"

fail() {
  printf '::error title=synops %s::%s\n' "$tag" "$1"
  exit 1
}

[[ $tag =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "The tag is not a release's, such as v1.4.0."
case "$(uname -s) $(uname -m)" in
  "Linux x86_64") own=linux-amd64 ;;
  "Linux aarch64") own=linux-arm64 ;;
  "Darwin x86_64") own=darwin-amd64 ;;
  "Darwin arm64") own=darwin-arm64 ;;
  *) fail "There is no program for $(uname -s) $(uname -m)." ;;
esac
wanted=("$own")
[ "${SYNOPS_BUNDLE:-}" != true ] || for machine in linux-arm64 linux-amd64; do
  [ "$machine" = "$own" ] || wanted+=("$machine")
done

released() {
  local file lines
  cd "$dir/release"
  gh release download "$tag" --repo "$core" --pattern checksums.txt --pattern attestations.jsonl "${wanted[@]/#/--pattern=synops-}" ||
    fail "The release cannot be downloaded. Where there are no releases, set the variable SYNOPS_FROM_SOURCE to true."
  for file in "${wanted[@]/#/synops-}"; do
    lines=$(grep -cE "^[0-9a-f]{64}  $file\$" checksums.txt) || true
    [ "$lines" = 1 ] || fail "checksums.txt names $file $lines times, not once."
    grep -E "^[0-9a-f]{64}  $file\$" checksums.txt | sha256sum --check --strict --status || fail "The checksum of $file is not the published one."
    gh attestation verify "$file" --repo "$core" --bundle attestations.jsonl \
      --signer-workflow "$core/.github/workflows/release.yml" --source-ref "refs/tags/$tag" ||
      fail "Nothing attests that $file was built by $core's release workflow from $tag."
    chmod +x "$file"
  done
  cp "synops-$own" "$dir/bin/synops"
}

built() {
  local machine
  # With the repository's history: the version that the program tells is the tag's.
  git -c advice.detachedHead=false clone --quiet --depth 1 --branch "$tag" "${GITHUB_SERVER_URL:?}/$core" "$dir/source" || fail "The tag cannot be cloned."
  cd "$dir/source"
  for machine in "${wanted[@]}"; do
    CGO_ENABLED=0 GOOS=${machine%-*} GOARCH=${machine#*-} go build -trimpath -buildvcs=true -o "$dir/release/synops-$machine" ./cmd/synops || fail "It does not build for $machine."
  done
  cp "$dir/release/synops-$own" "$dir/bin/synops"
}

if [ "${SYNOPS_FROM_SOURCE:-}" = true ]; then
  built
else
  released
fi
echo "$dir/bin" >>"${GITHUB_PATH:?}"
[ "${SYNOPS_BUNDLE:-}" != true ] || echo "SYNOPS_BINARIES=$dir/release" >>"${GITHUB_ENV:?}"
"$dir/bin/synops" version
