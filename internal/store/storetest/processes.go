package storetest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// competitor, in the process environment, holds the URL of the store that the test
// binary is to work on as a competing process.
const competitor = "SYNOPS_STORETEST_URL"

// Main is a driver's TestMain. open returns a driver for a URL that one of the
// drivers given to Run told.
func Main(m *testing.M, open func(url string) (store.Driver, error)) {
	url := os.Getenv(competitor)
	if url == "" {
		os.Exit(m.Run())
	}
	d, err := open(url)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	compete(store.New(d), d)
}

// compete does what the lines on standard input say, and answers each with one on
// standard output: "won", "lost" and what is there, or "error" and why.
func compete(s *store.Store, d store.Driver) {
	who := strconv.Itoa(os.Getpid())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		op, arg, _ := strings.Cut(in.Text(), " ")
		fmt.Println(competeOnce(s, d, op, arg, who))
	}
}

// ref is the run that the competing processes work on.
var ref = ops.RunRef{Lane: ops.LaneAdmin, Run: "20261123T141502Z-remove-user-3f9c"}

func competeOnce(s *store.Store, d store.Driver, op, arg, who string) string {
	ctx := context.Background()
	answer := func(won bool, there string, err error) string {
		switch {
		case won && err == nil:
			return "won " + there
		case err == nil || ops.CodeOf(err) == ops.Conflict:
			return "lost " + there
		}
		return "error " + err.Error()
	}
	switch op {
	case "ready":
		return "won " + who
	case "create":
		err := d.Create(ctx, arg, []byte(who))
		there, getErr := d.Get(ctx, arg) // whoever lost must find what won
		if getErr != nil {
			return "error " + getErr.Error()
		}
		return answer(err == nil, string(there), err)
	case "claim":
		c, won, err := s.Claim(ctx, arg, ops.Claim{Run: ops.RunID(who), Lane: ref.Lane})
		return answer(won, string(c.Run), err)
	case "journal":
		n, _ := strconv.Atoi(arg)
		return answer(true, who, s.AppendJournal(ctx, ref, n, []byte(who)))
	case "lease":
		mine := ops.RunRef{Lane: ref.Lane, Run: ops.RunID(who)}
		got, holder, err := s.AcquireLease(ctx, ops.Lease{Environment: "dev", Name: arg, RunRef: mine, Attempt: 1}, nil)
		if holder != nil {
			got = *holder
		}
		return answer(holder == nil, fmt.Sprintf("%s fence %d", got.Run, got.Fence), err)
	case "release":
		name, fence, _ := strings.Cut(arg, " ")
		n, _ := strconv.Atoi(fence)
		mine := ops.RunRef{Lane: ref.Lane, Run: ops.RunID(who)}
		return answer(true, who, s.ReleaseLease(ctx, ops.Lease{Environment: "dev", Name: name, Fence: n, RunRef: mine, Attempt: 1}))
	case "key":
		key, err := s.PrivateKey(ctx, ops.RunRef{Lane: ref.Lane, Run: ops.RunID(arg)})
		return answer(true, fmt.Sprintf("%x", key), err)
	case "hang":
		err := d.CreateFrom(ctx, arg, func(w io.Writer) error {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
			fmt.Println("won half")
			for { // until it is killed; a select without cases is a deadlock to Go
				time.Sleep(time.Hour)
			}
		})
		return answer(false, "", err)
	case "create-on":
		for i := 1; ; i++ {
			if err := d.Create(ctx, fmt.Sprintf("%s/%06d", arg, i), bytes.Repeat([]byte{'x'}, 5000)); err != nil {
				return answer(false, "", err)
			}
			fmt.Println("won", i)
		}
	case "put-on":
		for i := 0; ; i++ {
			if err := d.Put(ctx, arg, bytes.Repeat([]byte{'a' + byte(i%26)}, 100_000+i%26)); err != nil {
				return answer(false, "", err)
			}
			if i == 0 {
				fmt.Println("won first")
			}
		}
	}
	return "error unknown " + op
}

// A process is a competing one.
type process struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

// startProcess starts the test binary as a competitor on d's store. It is killed
// when the test ends.
func startProcess(t *testing.T, d store.Driver) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), competitor+"="+d.URL())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &process{cmd: cmd, in: in, out: bufio.NewScanner(out)}
}

func (p *process) tell(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(p.in, line+"\n")
	ok(t, err)
}

// answer returns the next line the process prints, whether it won and what it saw.
func (p *process) answer(t *testing.T) (won bool, there string) {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("a competing process ended: %v", p.out.Err())
	}
	word, there, _ := strings.Cut(p.out.Text(), " ")
	if word != "won" && word != "lost" {
		t.Fatalf("a competing process says: %s", p.out.Text())
	}
	return word == "won", there
}
