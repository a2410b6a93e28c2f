package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/secret"
)

const value = "canary-0123456789"

// around holds a Secret where printers cannot call its methods.
type around struct {
	Public  secret.Secret
	private secret.Secret
	list    []secret.Secret
	byName  map[string]secret.Secret
	pointer *secret.Secret
	any     any
}

func TestSecret_NeverPrints(t *testing.T) {
	s := secret.New(value)
	nested := around{s, s, []secret.Secret{s}, map[string]secret.Secret{"a": s}, &s, s}
	printed := map[string]string{}
	for _, verb := range strings.Split("v +v #v s q x X d t c b o e f g p T U", " ") {
		printed["%"+verb] = fmt.Sprintf("%"+verb, s)
		printed["pointer %"+verb] = fmt.Sprintf("%"+verb, &s)
		printed["nested %"+verb] = fmt.Sprintf("%"+verb, nested)
		printed["nested pointer %"+verb] = fmt.Sprintf("%"+verb, &nested)
	}
	printed["Sprint"] = fmt.Sprint(s, nested)
	printed["error"] = fmt.Errorf("with %w and %v", fmt.Errorf("%v", s), nested).Error()
	b, err := json.Marshal(map[string]any{"s": s, "n": nested})
	if err == nil {
		printed["json"] = string(b)
	}
	b, err = json.Marshal(nested)
	if err != nil {
		t.Fatal(err)
	}
	printed["json nested"] = string(b)
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Info("x", "s", s, "p", &s, "n", nested, slog.Group("g", "s", s))
	}
	printed["slog"] = logged.String()
	func() {
		defer func() { printed["panic"] = fmt.Sprint(recover()) }()
		panic(nested)
	}()
	for how, text := range printed {
		for _, shown := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprintf("%d", []byte(value))} {
			if strings.Contains(text, shown) {
				t.Errorf("%s shows the value: %s", how, text)
			}
		}
	}
	if got := printed["%v"]; got != "[redacted]" {
		t.Errorf("%%v prints %q", got)
	}
	if !strings.Contains(printed["json nested"], `"Public":"[redacted]"`) {
		t.Errorf("JSON is %s", printed["json nested"])
	}
	if s.Reveal() != value || (secret.Secret{}).Reveal() != "" {
		t.Error("Reveal does not return the value")
	}
}
