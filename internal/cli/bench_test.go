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
	synops := filepath.Join(dir, "synops")
	if out, err := exec.Command("go", "build", "-o", synops, "../../cmd/synops").CombinedOutput(); err != nil {
		b.Fatalf("building synops: %v\n%s", err, out)
	}
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
	go func() { _ = sandbox.New(sandbox.Config{NoThrottle: true}).Serve(ctx, l) }()
	config := filepath.Join(dir, "environments.yaml")
	text := fmt.Sprintf("environments:\n  trial:\n    repository: o/r\n    synapse_hosts: [\"http://%s\"]\n", l.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return config
}
