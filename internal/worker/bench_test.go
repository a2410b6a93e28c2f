package worker_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
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
