package rehearsal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNoSubnet is for a machine that gives a process no network of its own.
var ErrNoSubnet = errors.New("there are no network namespaces here")

// A Subnet is a network of its own, as an environment's private subnet is: its Synapse
// listens there on loopback, which nobody outside reaches. The one way out leads to
// the accounts, as an endpoint of a VPC does. It needs Linux with unshare, nsenter
// and ip.
type Subnet struct {
	enter   []string
	cmd     *exec.Cmd
	in      io.Closer
	out     net.Listener // of the way out
	handed  *net.UnixListener
	service *http.Server
	wg      sync.WaitGroup
}

// within is what the process in the subnet is told: addresses to listen at, and the
// sockets by which the one leads out and the other's listener is handed over.
type within struct{ Service, HandOver, Cloud, WayOut string }

// FreeHosts are base URLs at which nothing listens on this machine, one for each
// environment named. Their ports are below those that systems give to whoever asks for
// any (from 32768 on Linux, from 49152 elsewhere): nobody gets one by chance before it
// is used.
func FreeHosts(environments ...string) (map[string]string, error) {
	hosts := map[string]string{}
	for _, name := range environments {
		l, err := listenLow()
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close() // all at the end: no two are the same
		hosts[name] = "http://" + l.Addr().String()
	}
	return hosts, nil
}

// listenLow listens at some port from 10000 to 29999; the error is the last of a
// hundred.
func listenLow() (l net.Listener, err error) {
	for range 100 {
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			return l, nil
		}
	}
	return nil, err
}

// OpenSubnet begins a subnet in which env's Synapse listens at env.Host, which
// Config.Hosts must have named. program opens it: it is started with the argument
// "within" and must call Within. The error is ErrNoSubnet where none can be had. The
// caller closes it.
func (s *Stage) OpenSubnet(ctx context.Context, env *Environment, program string) (*Subnet, error) {
	n := &Subnet{service: &http.Server{Handler: env.Synapse, ReadHeaderTimeout: 10 * time.Second}}
	cloud := strings.TrimPrefix(s.URL, "http://")
	// Sockets with a name are no part of a network: they lead into it and out.
	w := within{Service: strings.TrimPrefix(env.Host, "http://"), HandOver: filepath.Join(s.Dir, env.Name+"-in"), Cloud: cloud, WayOut: filepath.Join(s.Dir, env.Name+"-out")}
	err := n.open(ctx, w, program)
	if err != nil {
		n.Close()
		return nil, err
	}
	n.wg.Go(func() { relay(n.out, "tcp", cloud) })
	return n, nil
}

// Expose serves env's Synapse at env.Host on this machine after all, where no subnet
// can be had.
func (s *Stage) Expose(env *Environment) error {
	_, err := s.serve(strings.TrimPrefix(env.Host, "http://"), env.Synapse)
	env.hidden = err != nil
	return err
}

func (n *Subnet) open(ctx context.Context, w within, program string) error {
	var err error
	if n.out, err = net.Listen("unix", w.WayOut); err != nil {
		return fmt.Errorf("making the way out: %w", err)
	}
	if n.handed, err = net.ListenUnix("unix", &net.UnixAddr{Name: w.HandOver, Net: "unix"}); err != nil {
		return fmt.Errorf("making the way in: %w", err)
	}
	if err := n.start(ctx, w, program); err != nil {
		return err
	}
	l, err := takeListener(n.handed)
	if err != nil {
		return fmt.Errorf("taking over what listens within: %w", err)
	}
	n.wg.Go(func() { _ = n.service.Serve(l) }) // ends with Close
	return nil
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
	_ = n.service.Close()
	if n.out != nil {
		_ = n.out.Close()
	}
	if n.handed != nil {
		_ = n.handed.Close()
	}
	if n.in != nil {
		_ = n.in.Close() // Within ends with its input
	}
	if n.cmd != nil {
		_ = n.cmd.Wait()
	}
	n.wg.Wait()
}

// Within is the process in the subnet: it listens where it is told on in, leads to the
// accounts, and keeps the subnet until in ends.
func Within(in io.Reader, out io.Writer) error {
	var w within
	dec := json.NewDecoder(in)
	if err := dec.Decode(&w); err != nil {
		return fmt.Errorf("reading what to serve: %w", err)
	}
	if err := handOver(w.Service, w.HandOver); err != nil {
		return fmt.Errorf("listening within: %w", err)
	}
	cloud, err := net.Listen("tcp", w.Cloud)
	if err != nil {
		return fmt.Errorf("listening within: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { relay(cloud, "unix", w.WayOut) })
	_, err = io.WriteString(out, "ready\n")
	if err == nil {
		_, err = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in))
	}
	_ = cloud.Close()
	wg.Wait()
	return err
}

// handOver listens at an address of this process's network and gives the listener to
// whoever listens at the socket: it stays of this network whoever has it.
func handOver(address, socket string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer c.Close()
	_, _, err = c.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(f.Fd())), nil)
	return err
}

// takeListener is the listener that handOver gave.
func takeListener(from *net.UnixListener) (net.Listener, error) {
	c, err := from.AcceptUnix()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	data, rights := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(data, rights)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err == nil && len(fds) == 1 {
			f := os.NewFile(uintptr(fds[0]), "handed over")
			defer f.Close()
			return net.FileListener(f)
		}
	}
	return nil, errors.New("nothing was handed over")
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
