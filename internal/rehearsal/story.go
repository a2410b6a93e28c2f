package rehearsal

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// A Story tells what is done while it is done: headings with the time since it
// began, who gives which command, what it printed, how it ended and how long it
// took. It is for one goroutine.
type Story struct {
	Stage *Stage
	// Brief leaves out what commands say while they work, unless they end otherwise
	// than expected.
	Brief bool

	out    io.Writer
	began  time.Time
	scenes []scene
}

type scene struct {
	title string
	began time.Duration
}

// Tell begins a story on a stage. out gets all of it; io.Discard for a test that
// only wants what is done.
func Tell(s *Stage, out io.Writer) *Story {
	return &Story{Stage: s, out: out, began: time.Now()}
}

// since is how long the story has been told.
func (t *Story) since() time.Duration { return time.Since(t.began) }

// Scene begins a part of the story.
func (t *Story) Scene(format string, args ...any) {
	title := fmt.Sprintf(format, args...)
	at := t.since()
	t.scenes = append(t.scenes, scene{title, at})
	t.Say("── %s  [%s]\n", title, seconds(at))
}

// Say says a line.
func (t *Story) Say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// Do runs a command of the actor and shows it. An exit code other than want is an
// error.
func (t *Story) Do(ctx context.Context, a Actor, want int, args ...string) (*Answer, error) {
	return t.DoWith(ctx, a, "", "", want, args...)
}

// DoWith is Do with something on standard input, which is not shown: only file, the
// name of where it comes from.
func (t *Story) DoWith(ctx context.Context, a Actor, file, stdin string, want int, args ...string) (*Answer, error) {
	words := []string{"synops"}
	for _, arg := range args {
		words = append(words, ops.ShellQuote(arg))
	}
	if file != "" {
		words = append(words, "<"+file)
	}
	t.Say("# %s\n$ %s", a.Who, strings.Join(words, " "))
	c := Command{Actor: a, Args: args, Stdin: stdin, Progress: t.out, Result: t.out}
	if t.Brief {
		c.Progress = nil
	}
	got, err := t.Stage.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	if t.Brief && got.Code != want {
		t.Say("%s", got.Stderr)
	}
	t.Say("(exit code %d, %s)\n", got.Code, seconds(got.Took))
	if got.Code != want {
		return got, &UnexpectedCode{Args: args, Got: got.Code, Want: want}
	}
	return got, nil
}

// UnexpectedCode is a command that ended otherwise than the story has it.
type UnexpectedCode struct {
	Args      []string
	Got, Want int
}

func (e *UnexpectedCode) Error() string {
	return fmt.Sprintf("synops %s ended with exit code %d, not %d", strings.Join(e.Args, " "), e.Got, e.Want)
}

// End says how long each scene took.
func (t *Story) End() {
	all := t.since()
	t.Say("── %s in all\n", seconds(all))
	for i, s := range t.scenes {
		end := all
		if i+1 < len(t.scenes) {
			end = t.scenes[i+1].began
		}
		t.Say("%8s  %s", seconds(end-s.began), s.title)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
