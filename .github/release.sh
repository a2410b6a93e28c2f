#!/usr/bin/env bash
# Two steps of a release that are more than a line.
#   check TAG      the workflows and the environments file call exactly TAG
#   publish TAG    adds the attestations (file $BUNDLE) to the draft and publishes it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

check() {
  local tag=$1 other
  other=$(grep -rhoE 'Sage-Bionetworks/synapse-ops-core/[^ @]+@[^ ]+|^ +tag: .*' .github/workflows | sed -E 's/.*(@|tag: )//' | sort -u)
  if [ "$other" != "$tag" ]; then
    printf '::error title=release::The tag is %s, and the workflows call:%%0A%s\n' "$tag" "${other//$'\n'/%0A}"
    return 1
  fi
  grep -qE "^  release: ${tag//./\\.}( |\$)" internal/environments/environments.yaml || {
    printf '::error title=release::The environments file does not name release %s.\n' "$tag"
    return 1
  }
}

publish() {
  cp "$BUNDLE" dist/attestations.jsonl
  gh release upload "$1" dist/attestations.jsonl
  gh release edit "$1" --draft=false
}

"$@"
