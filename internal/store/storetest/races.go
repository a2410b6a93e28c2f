package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
)

// processesRace lets processes want the same thing at the same time, many times.
// Exactly one must get it, and the others must see who did.
func processesRace(t *testing.T, d store.Driver) {
	const processes, rounds = 6, 15
	all := make([]*process, processes)
	for i := range all {
		all[i] = startProcess(t, d)
		all[i].tell(t, "ready")
	}
	for _, p := range all {
		p.answer(t)
	}
	for round := 1; round <= rounds; round++ {
		for op, arg := range map[string]string{
			"create":  fmt.Sprintf("race/%d", round),
			"claim":   fmt.Sprintf("claim-%d", round),
			"journal": fmt.Sprint(round),
			"lease":   "stack/544",
		} {
			winner, there := oneWins(t, all, op, arg)
			if op == "journal" {
				continue // its losers do not look
			}
			for i, seen := range there {
				if seen != there[winner] {
					t.Fatalf("%s %s: process %d sees %q, the winner %q", op, arg, i, seen, there[winner])
				}
			}
			if op == "lease" {
				if want := fmt.Sprintf("fence %d", round); !strings.HasSuffix(there[winner], want) {
					t.Fatalf("round %d: the lease is %q, want %s", round, there[winner], want)
				}
				all[winner].tell(t, fmt.Sprintf("release %s %d", arg, round))
				all[winner].answer(t)
			}
		}
		sameKey(t, all, fmt.Sprintf("run-%d", round))
	}
}

// oneWins has all processes do op at once; it returns who won and what each saw.
func oneWins(t *testing.T, all []*process, op, arg string) (winner int, there []string) {
	t.Helper()
	for _, p := range all {
		p.tell(t, op+" "+arg)
	}
	winner = -1
	for i, p := range all {
		won, seen := p.answer(t)
		there = append(there, seen)
		if won && winner >= 0 {
			t.Fatalf("%s %s: both process %d and process %d won", op, arg, winner, i)
		}
		if won {
			winner = i
		}
	}
	if winner < 0 {
		t.Fatalf("%s %s: none of %d processes won", op, arg, len(all))
	}
	return winner, there
}

// sameKey has all processes ask for a run's private key.
func sameKey(t *testing.T, all []*process, run string) {
	t.Helper()
	for _, p := range all {
		p.tell(t, "key "+run)
	}
	_, first := all[0].answer(t)
	for _, p := range all[1:] {
		if _, key := p.answer(t); key != first || len(key) != 64 {
			t.Fatalf("two processes got different private keys of %s", run)
		}
	}
}

func killedInCreate(t *testing.T, d store.Driver) {
	p := startProcess(t, d)
	p.tell(t, "hang folder/key")
	p.answer(t) // a megabyte is written
	kill(t, p)
	_, err := d.Get(t.Context(), "folder/key")
	wantCode(t, "Get of a document whose writer was killed", err, ops.NotFound)
	if names, err := d.List(t.Context(), "folder"); err != nil || len(names) != 0 {
		t.Errorf("List = %q, %v; want nothing", names, err)
	}
	ok(t, d.Create(t.Context(), "folder/key", []byte("whole")))
	wantDocument(t, d, "folder/key", "whole")
	if names, err := d.List(t.Context(), "folder"); err != nil || len(names) != 1 {
		t.Errorf("List = %q, %v; want the one document", names, err)
	}
}

func killedAnywhere(t *testing.T, d store.Driver) {
	whole := bytes.Repeat([]byte{'x'}, 5000)
	for round := range 5 {
		folder := fmt.Sprintf("round-%d", round)
		p := startProcess(t, d)
		p.tell(t, "create-on "+folder)
		told := 0
		for range 3 + 2*round {
			p.answer(t)
			told++
		}
		kill(t, p) // somewhere in a later one
		names, err := d.List(t.Context(), folder)
		if err != nil || len(names) < told {
			t.Fatalf("%d documents are there, %v; %d were told to be durable", len(names), err, told)
		}
		for i, name := range names {
			if want := fmt.Sprintf("%06d", i+1); name != want {
				t.Fatalf("document %d is %q, want %q", i+1, name, want)
			}
			if data, err := d.Get(t.Context(), folder+"/"+name); err != nil || !bytes.Equal(data, whole) {
				t.Fatalf("document %s has %d bytes, %v; want all %d", name, len(data), err, len(whole))
			}
		}
	}
}

// neverHalf reads a document that another process keeps replacing: each time it
// is one letter over and over, in that letter's own length.
func neverHalf(t *testing.T, d store.Driver) {
	p := startProcess(t, d)
	p.tell(t, "put-on run/heartbeat")
	p.answer(t)
	seen := map[byte]bool{}
	for i := 0; i < 200 || len(seen) < 3 && i < 100_000; i++ {
		data, err := d.Get(t.Context(), "run/heartbeat")
		if i%2 == 1 {
			data, err = readAll(t.Context(), d, "run/heartbeat")
		}
		ok(t, err)
		if len(data) == 0 || len(data) != 100_000+int(data[0]-'a') || bytes.Count(data, data[:1]) != len(data) {
			t.Fatalf("read %d bytes that are not one whole document", len(data))
		}
		if _, err := d.Age(t.Context(), "run/heartbeat"); err != nil {
			t.Fatalf("Age = %v while it is replaced", err)
		}
		seen[data[0]] = true
	}
	if len(seen) < 3 {
		t.Errorf("saw %d versions; the other process does not write", len(seen))
	}
}

func kill(t *testing.T, p *process) {
	t.Helper()
	ok(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait() // says that it was killed
}
