package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/synapse"
)

// lookPatience is for one look in a search: an ID that hangs must not keep it from
// the others.
const lookPatience = 10 * time.Second

// seek looks for the job of a restore whose ID nobody learned, and returns the ID. It
// is "" where it was not found, which is told, or where ctx has ended, which is not: a
// later process looks for it again.
//
// What is asked for may be nobody's, or another user's: an answer here says that the
// stack is there, and nothing of the credential or of the job.
func (x *Executor) seek(ctx context.Context, j migrate.Job) string {
	for s := migrate.NewSearch(j, x.Now()); ; {
		n, wait, ok := s.Next(x.Now())
		if !ok {
			x.tell(migrate.Event{N: j.N, Lost: j.Sought})
			return ""
		}
		x.pause(ctx, wait)
		id := strconv.FormatInt(n, 10)
		look, cancel := context.WithTimeout(ctx, lookPatience)
		st, _, err := x.stacks[j.Side].Job(look, id)
		cancel()
		if ctx.Err() != nil {
			return ""
		}
		x.answered(j.Side, err)
		switch {
		case err == nil && asksFor(st.RequestBody, j):
			x.tell(migrate.Event{N: j.N, ServerID: id})
			return id
		case err == nil:
			s.Other()
		}
	}
}

// asksFor tells whether a job's request is the one that was sent for j: all that was
// sent is there, as it was sent.
func asksFor(request json.RawMessage, j migrate.Job) bool {
	sent, err := synapse.MigrationRequest(synapse.MigrationRestore, synapse.NewMigrationRestoreRequest(j.Type, j.Key, synapse.MigrationRange(j.Span), j.Size))
	want, wanted := fields(sent)
	got, there := fields(request)
	return err == nil && wanted && there && holds(got, want)
}

func fields(object json.RawMessage) (map[string]any, bool) {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	return m, d.Decode(&m) == nil
}

// holds tells whether all of want is in got.
func holds(got, want map[string]any) bool {
	for key, w := range want {
		if inner, ok := w.(map[string]any); ok {
			if g, ok := got[key].(map[string]any); !ok || !holds(g, inner) {
				return false
			}
		} else if !reflect.DeepEqual(got[key], w) {
			return false
		}
	}
	return true
}
