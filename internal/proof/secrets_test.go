package proof_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/sandbox"
)

// The canaries: what must not get out.
const (
	canaryToken   = "canary-token-5f0c9b1e77aa42d3+/="
	canaryFirst   = "Canaryfirst"
	canaryLast    = "Canarylast"
	canaryMail    = "canary.mail@canary.example.org"
	canaryCompany = "Canary & Company"
	canaryUser    = "3350777"
)

// forms are the ways in which a value may get out.
func forms(value string) []string {
	out := []string{value, url.QueryEscape(value), url.PathEscape(value), hex.EncodeToString([]byte(value)), strings.ToUpper(value), strings.Trim(fmt.Sprintf("%q", value), `"`)}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 { // wherever it begins in what was encoded
			b := e.EncodeToString(append(make([]byte, shift), value...))
			out = append(out, b[4:len(b)-4])
		}
	}
	return out
}

// A hunt searches everything for canaries.
type hunt struct {
	r      *rig
	values map[string][]string
}

func newHunt(r *rig) *hunt {
	h := &hunt{r: r, values: map[string][]string{}}
	for _, v := range []string{canaryToken, canaryFirst, canaryLast, canaryMail, canaryCompany} {
		h.values[v] = forms(v)
	}
	return h
}

func (h *hunt) search(where string, text []byte) {
	h.r.t.Helper()
	for value, forms := range h.values {
		for _, form := range forms {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				h.r.t.Errorf("%s holds %s, as %q: …%s…", where, value, form, text[max(0, i-60):min(len(text), i+len(form)+20)])
				break
			}
		}
	}
}

func (h *hunt) outcome(what string, o outcome) {
	h.r.t.Helper()
	h.search("standard output of "+what, []byte(o.out))
	h.search("standard error of "+what, []byte(o.err))
}

// files searches all files below a folder, but those in folders left out. It
// returns how many there were.
func (h *hunt) files(dir string, but ...string) int {
	h.r.t.Helper()
	n := 0
	h.r.ok(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		h.search("the name "+path, []byte(path))
		if d.IsDir() {
			for _, name := range but {
				if d.Name() == name {
					return fs.SkipDir
				}
			}
			return nil
		}
		b, err := os.ReadFile(path)
		n++
		h.search(path, b)
		return err
	}))
	return n
}

// process searches what every user of the machine, or its root, can read of a
// process.
func (h *hunt) process(pid int) {
	h.r.t.Helper()
	for _, name := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if os.IsNotExist(err) && !there("/proc/self") {
			return // a system without it
		}
		h.r.ok(err)
		if len(b) == 0 {
			h.r.t.Errorf("%s of the worker is empty: nothing was searched", name)
		}
		h.search(name+" of the worker", b)
	}
}

// canaryRig is a sandbox whose token and one of whose users are canaries.
func canaryRig(t *testing.T) *rig {
	r := newRig(t, sandbox.Config{Token: canaryToken})
	r.synapse.SetUser(sandbox.User{ID: canaryUser, UserName: "cuser", FirstName: canaryFirst, LastName: canaryLast, Company: canaryCompany, Emails: []string{canaryMail}, Certified: true})
	return r
}

// TestSecretsAndPersonalDataStayIn runs what touches them, well and badly, with
// answers that throw them back, and then looks at every byte.
func TestSecretsAndPersonalDataStayIn(t *testing.T) {
	t.Parallel()
	type attack struct {
		name    string
		code    int
		args    []string
		instead func(http.ResponseWriter, *http.Request) bool
	}
	remove := []string{"run", "remove-user", "users=" + canaryUser, "--confirm", "cuser"}
	mail := []string{"run", "unquarantine-email", "emails=" + canaryMail}
	attacks := []attack{
		{"plan", 0, []string{"plan", "remove-user", "users=" + canaryUser}, nil},
		{"plan as JSON", 0, []string{"plan", "remove-user", "users=" + canaryUser, "--format", "json"}, nil},
		{"done", 0, remove, nil},
		{"done as JSON", 0, append(remove, "--format", "json"), nil},
		{"refused", 3, []string{"run", "remove-user", "users=" + canaryUser, "--confirm", "wrong"}, nil},
		{"page that echoes the header", 1, remove, echo(http.StatusForbidden, "text/html", "<html><body>Authorization: %s</body></html>")},
		{"error that echoes the token", 1, remove, echo(http.StatusBadRequest, "application/json", `{"concreteType":"org.sagebionetworks.repo.model.ErrorResponse","reason":"bad credential %s of `+canaryMail+`"}`)},
		{"error that echoes it encoded", 1, remove, echoEncoded},
		{"redirect that carries it", 1, remove, redirect},
		{"address that was never quarantined", 1, mail, nil},
		{"address done", 1, mail, echo(http.StatusNotFound, "application/json", `{"reason":"`+canaryMail+` is not there, %s"}`)},
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			r := canaryRig(t)
			r.gate.answer(a.instead)
			h := newHunt(r)
			o := r.synops(a.args...)
			if o.code != a.code && (a.code == 0 || o.code == 0) {
				t.Errorf("ended with %d, want %d\n%s%s", o.code, a.code, o.out, o.err)
			}
			h.outcome("the command", o)
			for _, more := range [][]string{{"runs"}, {"runs", "--format", "json"}, {"leases"}} {
				h.outcome(more[0], r.synops(more...))
			}
			left := []string{"private"}
			if strings.Contains(strings.Join(a.args, " "), "emails=") {
				left = append(left, "requests") // the order itself
			}
			if n := h.files(r.dir, left...); n < 8 && a.args[0] == "run" {
				t.Errorf("%d documents were searched: the run has not happened", n)
			}
			h.files(r.home)
		})
	}
}

func echo(status int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprintf(w, body, r.Header.Get("Authorization"))
		return true
	}
}

func echoEncoded(w http.ResponseWriter, r *http.Request) bool {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"reason":"`+url.QueryEscape(token)+" "+base64.StdEncoding.EncodeToString([]byte(token))+" "+base64.StdEncoding.EncodeToString([]byte("Bearer "+token))+`"}`)
	return true
}

func redirect(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Location", "http://elsewhere.example.org/?t="+url.QueryEscape(r.Header.Get("Authorization")))
	w.WriteHeader(http.StatusFound)
	return true
}

// TestWorkerProcessHoldsNoSecret looks at the worker's environment and arguments
// while it works, and at what is left when it is killed.
func TestWorkerProcessHoldsNoSecret(t *testing.T) {
	t.Parallel()
	r := canaryRig(t)
	h := newHunt(r)
	ref, a := r.bring(place{call: 1, moment: afterApplied}, "remove-user", "users="+canaryUser, "--confirm", "cuser")
	h.process(pidOf(a))
	r.kill(ref, a)
	r.gate.open()
	h.files(r.dir, "private")
	h.outcome("show", r.synops("show", string(ref.Run)))
	h.outcome("resume", r.synops("resume", string(ref.Run)))
	h.outcome("follow", r.synops("follow", string(ref.Run)))
	h.outcome("verify", r.synops("verify", string(ref.Run)))
	h.files(r.dir, "private")
	if !there(r.runPath(ref, "private")) {
		t.Error("the before-image is nowhere")
	}
}

// TestHuntFinds keeps the search itself honest.
func TestHuntFinds(t *testing.T) {
	for _, text := range []string{
		"x" + canaryToken, url.QueryEscape(canaryToken), base64.StdEncoding.EncodeToString([]byte("Bearer " + canaryToken + " and more")),
		base64.URLEncoding.EncodeToString([]byte("xx" + canaryToken)), hex.EncodeToString([]byte(canaryToken)),
	} {
		found := false
		for _, form := range forms(canaryToken) {
			found = found || strings.Contains(text, form)
		}
		if !found {
			t.Errorf("%q passes unseen", text)
		}
	}
}
