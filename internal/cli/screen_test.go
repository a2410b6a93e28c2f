package cli_test

import (
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// varying is what differs from run to run, and what stands for it in a screen.
var varying = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9]{8}T[0-9]{6}Z-([a-z0-9-]+)-[0-9a-f]{6}`), "20261123T141502Z-$1-3f9c2a"},
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]+`), "127.0.0.1:8544"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:…"},
	{regexp.MustCompile(`request [0-9a-f]{12}`), "request …"},
	{regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}([ T])[0-9]{2}:[0-9]{2}:[0-9]{2}`), "2026-11-23${1}14:15:02"},
	{regexp.MustCompile(`(?m)^[0-9]{2}:[0-9]{2}:[0-9]{2}Z`), "14:15:02Z"},
	{regexp.MustCompile(`([0-9]+) requests, \S+ waiting for them, \S+ in all`), "$1 requests, 1ms waiting for them, 2ms in all"},
	{regexp.MustCompile(`after [0-9]+s`), "after 0s"},
	{regexp.MustCompile(`[0-9]+s ago`), "0s ago"},
	{regexp.MustCompile(`[0-9]+ entries in [0-9]+ documents`), "5 entries in 4 documents"},
	{regexp.MustCompile(`names, [0-9a-f]{12}`), "names, …"},
	{regexp.MustCompile(`(?m)^phase .*$`), "phase      performing"},
	{regexp.MustCompile(`(?m)^progress .*\n`), ""},
	{regexp.MustCompile(`(?m) on \S+$`), " on laptop"},
}

// cmdScreen compares what the last command printed, standard error first, with the
// screen that was reviewed.
func cmdScreen(ts *testscript.TestScript, _ bool, args []string) {
	got := ts.ReadFile("stderr") + ts.ReadFile("stdout")
	for _, v := range varying {
		got = v.pattern.ReplaceAllString(got, v.with)
	}
	file := filepath.Join(screens, args[0]+".txt")
	if *update {
		ts.Check(os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	ts.Check(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		ts.Fatalf("%s: %s", args[0], diff)
	}
}

// screens is absolute: a script has a folder of its own.
var screens, _ = filepath.Abs(filepath.Join("testdata", "screens"))
