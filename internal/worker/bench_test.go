package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/file"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/worker"
)

// BenchmarkBulk runs a bulk against a service with 20 ms latency and 3 calls in
// flight, all fsyncs included. The best there can be is in-flight/latency, 150
// requests a second; the target is 90 % of it.
func BenchmarkBulk(b *testing.B) {
	const latency, inFlight = 20 * time.Millisecond, 3
	for _, n := range []int{300, 1200} { // planned in full, and each as it is reached
		b.Run(fmt.Sprintf("targets=%d", n), func(b *testing.B) {
			for b.Loop() {
				s := sandbox.New(sandbox.Config{NoThrottle: true, Users: 2000})
				s.SetFaults(sandbox.Faults{Active: []sandbox.Fault{{Latency: sandbox.Duration(latency)}}})
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(b.Context())
				var serving sync.WaitGroup
				serving.Go(func() { _ = s.Serve(ctx, l) })
				real := newReal(b, "http://"+l.Addr().String(), "decertify-user", map[string]string{"users": strings.Join(sandboxUsers(n), ",")})
				real.req.Pace = ops.Pace{Unlimited: true, InFlight: inFlight}
				began := time.Now()
				res := real.run(b)
				took := time.Since(began)
				if res.Outcome != ops.Succeeded || res.Counts[ops.EffectDone]+res.Counts[ops.EffectUnchanged] != n {
					b.Fatalf("ended %s: %s, %v", res.Outcome, res.Message, res.Counts)
				}
				rate := float64(s.Total()) / took.Seconds()
				b.ReportMetric(rate, "requests/s")
				b.ReportMetric(100*rate*latency.Seconds()/inFlight, "%of-best")
				stop()
				serving.Wait()
			}
		})
	}
}

// BenchmarkMemory runs over many targets that a service answers for from nothing,
// on disk, and reports the highest heap and resident set. The target is 64 MiB.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("targets=%d", n), func(b *testing.B) {
			for b.Loop() {
				heap, rss := memoryOf(b, n)
				b.ReportMetric(heap, "heap-MiB")
				b.ReportMetric(rss, "resident-MiB")
			}
		})
	}
}

func memoryOf(b *testing.B, n int) (heap, rss float64) {
	d, err := file.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	st := store.New(d)
	req := ops.Request{Task: "light-lamps", TaskVersion: 3, Inputs: map[string]string{"lamps": strings.Join(lamps(n), ",")}, Environment: "dev", Host: "https://dev.example.org", Lane: ops.LaneAdmin, Requester: "grace", Synops: "v1"}
	begin(b, st, req)
	req = ops.Request{} // a worker reads it from the store
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Logf("the resident set's peak is that of the process: %v", err)
	}
	stop, peak := make(chan struct{}), make(chan float64)
	go func() { peak <- watchHeap(stop) }()
	task := lampTask()
	task.MaxTargets = 200_000
	w := worker.New(worker.Config{
		Documents: st, Catalog: ops.Catalog{task}, Environment: &ops.Environment{Name: "dev", Hosts: []string{"https://dev.example.org"}}, Synops: "v1",
		Pure: func(ops.TaskName) (ops.Procedure, error) { return endless(), nil },
		Open: func(context.Context, *ops.Request) (*worker.Bound, error) {
			return &worker.Bound{Service: service{version: "544.0", instance: "dev544", status: "READ_WRITE"}, Procedure: endless(), InFlight: func() int { return 3 }}, nil
		},
	})
	res, err := w.Work(b.Context(), ops.RunRef{Lane: ops.LaneAdmin, Run: run1})
	close(stop)
	if err != nil || res.Outcome != ops.Succeeded || res.Counts[ops.EffectDone] != n {
		b.Fatalf("ended with %v: %+v", err, res)
	}
	return <-peak, residentPeak()
}

// endless is the lamp task over a service that keeps nothing in memory.
func endless() ops.Procedure {
	return ops.Procedure{
		Targets: lampTargets,
		Plan: func(_ context.Context, _ ops.Values, t ops.Target) (ops.Effect, error) {
			return ops.Effect{Summary: "on: false → true", Before: ops.State{"on": false}, After: ops.State{"on": true}, Settle: ops.SettleRead}, nil
		},
		Perform: func(context.Context, *ops.Step) (ops.Done, error) { return ops.Done{}, nil },
	}
}

func watchHeap(stop chan struct{}) (most float64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return most
		case <-tick.C:
			metrics.Read(sample)
			most = max(most, float64(sample[0].Value.Uint64())/(1<<20))
		}
	}
}

// residentPeak is the highest resident set so far, in MiB; 0 where it is not told.
func residentPeak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kib float64
	fmt.Sscan(string(rest), &kib)
	return kib / 1024
}
