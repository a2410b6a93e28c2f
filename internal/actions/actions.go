// Package actions speaks with the runner of a GitHub Actions job: what is printed
// there as text stays text, and groups, masks, annotations, outputs and the step's
// summary are what they are because we say so. It also reads the form that a
// workflow was dispatched with, and sends one line to a webhook.
//
// What is not here: runs, plans and accounts.
package actions

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A Console is a step's log. What is written to it is text: no line of it can be a
// command to the runner, whatever it holds. Safe for concurrent use.
type Console struct {
	mu      sync.Mutex
	w       io.Writer
	line    []byte // begun and not ended
	grouped bool
	// Annotations of one step that GitHub keeps: ten of each, so what is above that
	// is printed as text.
	errors, warnings, notices int
}

// mostAnnotations is how many of each kind of annotation a step may have.
const mostAnnotations = 10

// mostMessage bounds an annotation's text; GitHub cuts at 4,096 characters.
const mostMessage = 4000

// NewConsole returns a console on w, the process's standard output.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// mostLine bounds a line that does not end.
const mostLine = 64 << 10

// Write prints text; a line that is not ended yet waits for its end.
func (c *Console) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(text)
	for len(text) > 0 {
		// The runner reads a line at each of both.
		i := bytes.IndexAny(text, "\r\n")
		if i < 0 {
			c.line = append(c.line, text...)
			break
		}
		c.line = append(c.line, text[:i]...)
		if err := c.end(); err != nil {
			return 0, err
		}
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		text = text[i+1:]
	}
	if len(c.line) > mostLine {
		return n, c.end()
	}
	return n, nil
}

// Flush prints a line that is not ended.
func (c *Console) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.line) == 0 {
		return nil
	}
	return c.end()
}

// end prints the line that was begun.
func (c *Console) end() error {
	text := Tame(string(c.line))
	c.line = c.line[:0]
	_, err := io.WriteString(c.w, text+"\n")
	return err
}

// Tame makes a line text to the runner: it takes one for a command that begins with
// "::", spaces before it or not, or has "##[" anywhere.
func Tame(line string) string {
	rest := strings.TrimLeftFunc(line, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
	if strings.HasPrefix(rest, "::") {
		line = line[:len(line)-len(rest)] + ": :" + rest[2:]
	}
	return strings.ReplaceAll(line, "##[", "## [")
}

// command prints a command of ours, after what is printed already.
func (c *Console) command(name, properties, data string) error {
	if len(c.line) > 0 {
		if err := c.end(); err != nil {
			return err
		}
	}
	if properties != "" {
		properties = " " + properties
	}
	_, err := fmt.Fprintf(c.w, "::%s%s::%s\n", name, properties, escapeData(data))
	return err
}

// escapeData is how a command's data is written, so that it ends with its line.
func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// escapeProperty is escapeData for a property.
func escapeProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escapeData(s))
}

// Group begins a group of lines that the page folds, and ends the one before.
func (c *Console) Group(title string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ungroup(); err != nil {
		return err
	}
	c.grouped = true
	return c.command("group", "", title)
}

// EndGroup ends the group that was begun, if one was.
func (c *Console) EndGroup() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ungroup()
}

func (c *Console) ungroup() error {
	if !c.grouped {
		return nil
	}
	c.grouped = false
	return c.command("endgroup", "", "")
}

// leastMask is the least a value must have to be masked: a shorter one would blot
// out half the log.
const leastMask = 4

// Mask has the runner mask value in the rest of this job's log: each line of it, and
// as JSON writes it. It tells whether value is long enough.
func (c *Console) Mask(value string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	masked := false
	for line := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if len(line) < leastMask {
			continue
		}
		masked = c.command("add-mask", "", line) == nil || masked
		if quoted := inJSON(line); quoted != line {
			_ = c.command("add-mask", "", quoted) // the plain one is masked
		}
	}
	return masked
}

// Error annotates the job with an error. Text is one line or several.
func (c *Console) Error(title, text string) error { return c.annotate("error", &c.errors, title, text) }

// Warning annotates the job with a warning.
func (c *Console) Warning(title, text string) error {
	return c.annotate("warning", &c.warnings, title, text)
}

// Notice annotates the job with what is worth knowing and no trouble.
func (c *Console) Notice(title, text string) error {
	return c.annotate("notice", &c.notices, title, text)
}

func (c *Console) annotate(kind string, count *int, title, text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *count++; *count > mostAnnotations {
		for line := range strings.Lines(text) {
			c.line = append(c.line, kind+": "+strings.TrimRight(line, "\r\n")...)
			if err := c.end(); err != nil {
				return err
			}
		}
		return nil
	}
	return c.command(kind, "title="+escapeProperty(cut(title, 200)), cut(text, mostMessage))
}

// cut shortens s to n bytes at most, at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
