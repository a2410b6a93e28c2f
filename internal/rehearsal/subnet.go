package rehearsal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// ErrNoSubnet is for a machine that gives a process no network of its own.
var ErrNoSubnet = errors.New("there are no network namespaces here")

// A Subnet is a network of its own, as an environment's private subnet is: a Synapse
// listens there on loopback, which nobody outside reaches. The one way out leads to
// the accounts, as an endpoint of a VPC does. It needs Linux with unshare, nsenter
// and ip.
type Subnet struct {
	enter []string
	cmd   *exec.Cmd
	in    io.Closer
	out   net.Listener
	wg    sync.WaitGroup
}

// within is what the process in the subnet is told.
type within struct {
	Service, Token, Stack, Instance string // of the Synapse
	Cloud, WayOut                   string // an address, and the socket that leads to it
}

// FreeHost is a base URL at which nothing listens on this machine.
func FreeHost() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	return "http://" + l.Addr().String(), l.Close()
}

// OpenSubnet begins a subnet in which env's Synapse listens at env.Host, which
// Config.Hosts must have named. program serves it: it is started with the argument
// "within" and must call Within. The error is ErrNoSubnet where none can be had. The
// caller closes it.
func (s *Stage) OpenSubnet(ctx context.Context, env *Environment, program string) (*Subnet, error) {
	n := &Subnet{}
	// Sockets with a name are no part of a network: they are the way out.
	wayOut := filepath.Join(s.Dir, "way-out")
	l, err := net.Listen("unix", wayOut)
	if err != nil {
		return nil, fmt.Errorf("making the way out: %w", err)
	}
	n.out = l
	cloud := strings.TrimPrefix(s.URL, "http://")
	n.wg.Go(func() { relay(l, "tcp", cloud) })
	w := within{Service: strings.TrimPrefix(env.Host, "http://"), Token: env.Token, Stack: env.Name, Instance: env.instance(), Cloud: cloud, WayOut: wayOut}
	if err := n.start(ctx, w, program); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *Subnet) start(ctx context.Context, w within, program string) error {
	unshare := []string{"unshare", "--net"}
	n.enter = []string{"nsenter", "--net"}
	if os.Getuid() != 0 { // whoever is not root becomes it in a namespace of users
		unshare, n.enter = append(unshare, "--user", "--map-root-user"), append(n.enter, "--user", "--preserve-credentials")
	}
	args := append(unshare, "sh", "-c", `ip link set lo up && exec "$0" within`, program)
	n.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	var said strings.Builder
	n.cmd.Stderr = &said
	stdin, err := n.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("preparing the subnet: %w", err)
	}
	n.in = stdin
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("preparing the subnet: %w", err)
	}
	if err := n.cmd.Start(); err != nil {
		n.cmd = nil
		return fmt.Errorf("%w: %w", ErrNoSubnet, err)
	}
	n.enter = append(n.enter, "--target", strconv.Itoa(n.cmd.Process.Pid))
	if err := json.NewEncoder(stdin).Encode(w); err != nil {
		said.WriteString(err.Error())
	}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = n.cmd.Wait()
		n.cmd = nil
		return fmt.Errorf("%w: %s", ErrNoSubnet, strings.TrimSpace(said.String()))
	}
	return nil
}

// Enter is what a command is prefixed with to run in the subnet.
func (n *Subnet) Enter() []string { return n.enter }

// Close ends the subnet and all that listens in it.
func (n *Subnet) Close() {
	_ = n.out.Close()
	if n.in != nil {
		_ = n.in.Close() // Within ends with its input
	}
	if n.cmd != nil {
		_ = n.cmd.Wait()
	}
	n.wg.Wait()
}

// Within is the process in the subnet: it serves what it is told on in until that
// ends.
func Within(ctx context.Context, in io.Reader, out io.Writer) error {
	var w within
	dec := json.NewDecoder(in)
	if err := dec.Decode(&w); err != nil {
		return fmt.Errorf("reading what to serve: %w", err)
	}
	service, err := net.Listen("tcp", w.Service)
	if err != nil {
		return fmt.Errorf("listening within: %w", err)
	}
	cloud, err := net.Listen("tcp", w.Cloud)
	if err != nil {
		return fmt.Errorf("listening within: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { relay(cloud, "unix", w.WayOut) })
	synapse := sandbox.New(sandbox.Config{Stack: w.Stack, Instance: w.Instance, Token: w.Token, NoThrottle: true})
	wg.Go(func() { _ = synapse.Serve(ctx, service) }) // ends with ctx
	_, err = io.WriteString(out, "ready\n")
	if err == nil {
		_, err = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in))
	}
	stop()
	_ = cloud.Close()
	wg.Wait()
	return err
}

// relay hands connections on until l is closed, and then ends those it has.
func relay(l net.Listener, network, address string) {
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	defer wg.Wait()
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { join(ctx, c, network, address) })
	}
}

func join(ctx context.Context, c net.Conn, network, address string) {
	defer c.Close()
	d := net.Dialer{Timeout: 10 * time.Second}
	to, err := d.DialContext(ctx, network, address)
	if err != nil {
		return // who asked finds the line dropped
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { _, _ = c.Close(), to.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, c)
		closeWrite(to)
	}()
	_, _ = io.Copy(c, to)
	closeWrite(c)
	<-done
}

// closeWrite says that nothing more comes, and still listens.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
