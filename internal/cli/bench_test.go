package cli_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

var costLine = regexp.MustCompile(`([0-9]+) requests, ([0-9a-zµ.]+) waiting for them`)

// BenchmarkRunSetFeature measures what synops itself adds to a small task: the wall
// time of "run set-feature", both process starts and every fsync included, minus
// the time its worker waited for the service. The limit is the two process starts
// and the fsyncs of the run's documents.
func BenchmarkRunSetFeature(b *testing.B) {
	dir := b.TempDir()
	synops := build(b, dir)
	config := serveSandbox(b, dir)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SYNOPS_CONFIG=" + config, "SYNAPSE_ADMIN_PAT=" + sandbox.AdminToken}
	var own, wall []float64
	var requests int
	b.ResetTimer()
	for i := range b.N {
		cmd := exec.Command(synops, "run", "set-feature", "feature=ALLOW_AGENT_WRITES", fmt.Sprintf("enabled=%v", i%2 == 1), "-e", "trial")
		cmd.Env = env
		began := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(began)
		if err != nil {
			b.Fatalf("run: %v\n%s", err, out)
		}
		m := costLine.FindStringSubmatch(string(out))
		if m == nil {
			b.Fatalf("the log does not tell the cost:\n%s", out)
		}
		waited, err := time.ParseDuration(m[2])
		if err != nil {
			b.Fatal(err)
		}
		requests, _ = strconv.Atoi(m[1])
		own = append(own, float64(took-waited)/1e6)
		wall = append(wall, float64(took)/1e6)
	}
	b.ReportMetric(median(own), "own-ms")
	b.ReportMetric(median(wall), "wall-ms")
	b.ReportMetric(float64(requests), "requests")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// serveSandbox starts a sandbox and returns an environments file that names it.
func serveSandbox(b *testing.B, dir string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.Cleanup(stop)
	go func() { _ = sandbox.New(sandbox.Config{NoThrottle: true, Entities: 100_000}).Serve(ctx, l) }()
	config := filepath.Join(dir, "environments.yaml")
	text := fmt.Sprintf("environments:\n  trial:\n    repository: o/r\n    synapse_hosts: [\"http://%s\"]\n    max_targets: 100000\n", l.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return config
}

// BenchmarkWorkerMemory measures the most memory that a worker process ever held
// (VmHWM), with a real client, journal and store, over so many targets that all
// need a change.
func BenchmarkWorkerMemory(b *testing.B) {
	dir := b.TempDir()
	synops := build(b, dir)
	config := serveSandbox(b, dir)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SYNOPS_CONFIG=" + config, "SYNAPSE_ADMIN_PAT=" + sandbox.AdminToken}
	for _, targets := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("targets=%d", targets), func(b *testing.B) {
			list := filepath.Join(dir, "entities.txt")
			var text strings.Builder
			for i := range targets {
				fmt.Fprintf(&text, "syn%d\n", 30001+i)
			}
			if err := os.WriteFile(list, []byte(text.String()), 0o600); err != nil {
				b.Fatal(err)
			}
			most := 0.0
			for i := range b.N {
				task := []string{"publish-dataset", "unpublish-dataset"}[i%2]
				cmd := exec.Command(synops, "run", task, "entities=@"+list, "-e", "trial", "--rate", "0", "--in-flight", "8")
				cmd.Env = env
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- cmd.Wait() }()
				most = max(most, peak(b, synops, done))
			}
			b.ReportMetric(most, "peak-MiB")
		})
	}
}

var highWater = regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`)

// peak looks at the workers that synops starts until done, and returns the most
// memory one held, in MiB.
func peak(b *testing.B, synops string, done <-chan error) float64 {
	most := 0.0
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				b.Fatal(err)
			}
			return most
		case <-look.C:
		}
		processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range processes {
			line, _ := os.ReadFile(path)
			if !strings.HasPrefix(string(line), synops+"\x00work\x00") {
				continue
			}
			status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
			if m := highWater.FindSubmatch(status); m != nil {
				kB, _ := strconv.ParseFloat(string(m[1]), 64)
				most = max(most, kB/1024)
			}
		}
	}
}

// build builds synops into dir.
func build(b *testing.B, dir string) string {
	synops := filepath.Join(dir, "synops")
	if out, err := exec.Command("go", "build", "-o", synops, "../../cmd/synops").CombinedOutput(); err != nil {
		b.Fatalf("building synops: %v\n%s", err, out)
	}
	return synops
}
