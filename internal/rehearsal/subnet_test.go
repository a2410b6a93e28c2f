package rehearsal_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/rehearsal"
)

// TestMain is this package's tests, or one of the two programs that a subnet's test
// starts: the one that serves within, and one that asks what it is told to.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "within":
		if err := rehearsal.Within(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) == 3 && os.Args[1] == "ask":
		fmt.Println(ask(os.Args[2]))
	default:
		goleak.VerifyTestMain(m)
	}
}

// ask says what answers at a URL.
func ask(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	http.DefaultClient.CloseIdleConnections()
	return resp.Status + " " + string(body)
}

// TestSubnet: the Synapse answers within and not outside; within, the accounts answer
// too, and this machine's other services do not.
func TestSubnet(t *testing.T) {
	hosts, err := rehearsal.FreeHosts("dev", "prod")
	if err != nil || hosts["dev"] == hosts["prod"] {
		t.Fatal(hosts, err)
	}
	s, err := rehearsal.Open(t.Context(), rehearsal.Config{Dir: t.TempDir(), Getenv: os.Getenv, Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n, err := s.OpenSubnet(t.Context(), s.Dev, os.Args[0])
	if errors.Is(err, rehearsal.ErrNoSubnet) {
		t.Logf("not tried: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	within := func(url string) string {
		args := append(n.Enter(), os.Args[0], "ask", url)
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	version := s.Dev.Host + "/repo/v1/version"
	if got := within(version); !strings.Contains(got, "dev544") {
		t.Errorf("within, %s says %s", version, got)
	}
	if n := s.Dev.Synapse.Total(); n != 1 {
		t.Errorf("the stage's Synapse was asked %d times", n)
	}
	if got := ask(version); !strings.Contains(got, "connection refused") {
		t.Errorf("outside, %s says %s", version, got)
	}
	if got := within(s.URL); !strings.Contains(got, "emulated account") {
		t.Errorf("within, the accounts say %s", got)
	}
	if got := within(s.IssuerURL); !strings.Contains(got, "connection refused") {
		t.Errorf("the issuer, to which no way leads, says %s", got)
	}
	n.Close()
	if err := s.Expose(s.Prod); err != nil {
		t.Fatal(err)
	}
	if got := ask(s.Prod.Host + "/repo/v1/version"); !strings.Contains(got, `"544"`) {
		t.Errorf("exposed, prod's says %s", got)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestSubnet_None: where none can be had that is told apart from all else.
func TestSubnet_None(t *testing.T) {
	s := open(t, "")
	t.Setenv("PATH", t.TempDir()) // no unshare
	if _, err := s.OpenSubnet(t.Context(), s.Dev, os.Args[0]); !errors.Is(err, rehearsal.ErrNoSubnet) {
		t.Errorf("ended with %v", err)
	}
}
