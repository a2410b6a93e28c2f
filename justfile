# Recipes for daily work; "just" lists them. Everything here is one command, so that
# nobody needs just itself.

_list:
    @just --list --unsorted

# All that a change must pass: the same as CI
check:
    bash .ci/run

# Tests only
test *ARGS:
    go test ./... {{ARGS}}

# The proofs in full: workers struck at every call, 36 hours of a run (an hour)
prove:
    SYNOPS_PROVE=1 go test -count=1 -timeout=120m ./...

# Dashboards, task pages and schema from the catalog
render *ARGS:
    go run ./cmd/synops render {{ARGS}}

# golangci-lint, as CI runs it
lint:
    go tool -modfile=tools/lint/go.mod golangci-lint run ./...

# Benchmarks, six times each; compare two files with "just compare OLD NEW"
bench OUT="bench.txt":
    go test -run='^$' -bench=. -count=6 ./... | tee {{OUT}}

# What two benchmark files differ in
compare OLD NEW:
    go tool -modfile=tools/go.mod benchstat {{OLD}} {{NEW}}

# Every fuzzer, so long each
fuzz TIME="30s":
    #!/usr/bin/env bash
    set -euo pipefail
    for package in $(go list ./...); do
      for name in $(go test -list='^Fuzz' "$package" | grep '^Fuzz' || true); do
        echo "== $package $name"
        go test -run='^$' -fuzz="^$name\$" -fuzztime={{TIME}} "$package"
      done
    done

# The main job on this machine, as an operator sees it
demo:
    go run ./cmd/synops demo

# What standing two emulated accounts up looks like, from nothing to the doctor's page
rehearse NAME="account" *ARGS:
    go run ./cmd/cloudsim rehearse {{NAME}} {{ARGS}}

# The dashboards' forms through core's workflows, with act on emulated accounts
e2e:
    go run ./cmd/cloudsim rehearse workflows
