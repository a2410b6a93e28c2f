package adminapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/adminapi"
)

// respond makes a response for a fake round tripper.
func respond(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// bubble returns a client over rt that waits for real, within a synctest bubble.
func bubble(t *testing.T, rt roundTrip, p ops.Pace) *adminapi.Client {
	c, err := adminapi.New(adminapi.Config{Host: "http://127.0.0.1", Token: fixed(canary), Transport: rt, Pace: p})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPausesGrowWithJitterUpToTenSeconds(t *testing.T) {
	bounds := []time.Duration{1, 2, 4, 8, 10, 10, 10, 10, 10}
	most := make([]time.Duration, len(bounds))
	s := serve(t, why(429, "slow"))
	for range 60 {
		c, pauses := client(t, s.URL)
		wantError(t, readOne(t.Context(), c), ops.Unavailable)
		for i, d := range *pauses {
			if d < 0 || d > bounds[i]*time.Second {
				t.Fatalf("pause %d is %s, want at most %d s", i, d, bounds[i])
			}
			most[i] = max(most[i], d)
		}
	}
	for i, d := range most { // chance of a false alarm: 60 draws all in the lower half
		if d < bounds[i]*time.Second/2 {
			t.Errorf("pause %d was never longer than %s", i, d)
		}
	}
}

func TestRetryAfterIsHonored(t *testing.T) {
	seconds := func(s string) func(time.Time) string { return func(time.Time) string { return s } }
	date := func(d time.Duration) func(time.Time) string {
		return func(now time.Time) string { return now.Add(d).UTC().Format(http.TimeFormat) }
	}
	rows := []struct {
		value       func(now time.Time) string
		least, most time.Duration
	}{
		{seconds("30"), 30 * time.Second, 30 * time.Second},
		{seconds("86400"), 2 * time.Minute, 2 * time.Minute},
		{seconds("9999999999999999"), 2 * time.Minute, 2 * time.Minute},
		{seconds("-5"), 0, time.Second},
		{seconds("soon"), 0, time.Second},
		{date(50 * time.Second), 48 * time.Second, 50 * time.Second},
		{date(-time.Hour), 0, time.Second},
		{date(24 * time.Hour), 2 * time.Minute, 2 * time.Minute},
	}
	synctest.Test(t, func(t *testing.T) {
		for i, row := range rows {
			for _, status := range []int{429, 503} {
				n := 0
				rt := roundTrip(func(*http.Request) (*http.Response, error) {
					if n++; n == 1 {
						return respond(status, `{"reason":"x"}`, "Retry-After", row.value(time.Now())), nil
					}
					return respond(200, `{"enabled":true}`), nil
				})
				began := time.Now()
				if err := readOne(t.Context(), bubble(t, rt, ops.Pace{})); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < row.least || took > row.most {
					t.Errorf("row %d, %d: waited %s, want %s to %s", i, status, took, row.least, row.most)
				}
			}
		}
	})
}

// TestACallThatIsNotAnswered gives up after 30 s, or 15 minutes where the service
// scans everything.
func TestACallThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		rt := roundTrip(func(r *http.Request) (*http.Response, error) {
			sent++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c := bubble(t, rt, ops.Pace{})
		for _, row := range []struct {
			call  func(context.Context, *adminapi.Client) error
			code  ops.Code
			tries int
			each  time.Duration
		}{
			{readOne, ops.Unavailable, 5, 30 * time.Second},
			{resend, ops.Unsettled, 5, 30 * time.Second},
			{createOnce, ops.Unsettled, 1, 30 * time.Second},
			{func(ctx context.Context, c *adminapi.Client) error { _, err := c.ExportIDs(ctx); return err }, ops.Unavailable, 5, 15 * time.Minute},
			{func(ctx context.Context, c *adminapi.Client) error { _, err := c.BackfillGridSessions(ctx); return err }, ops.Unsettled, 1, 15 * time.Minute},
		} {
			sent = 0
			began := time.Now()
			wantError(t, row.call(t.Context(), c), row.code, fmt.Sprintf("within %s", row.each))
			least := time.Duration(row.tries) * row.each
			if took := time.Since(began); sent != row.tries || took < least || took > least+30*time.Second {
				t.Errorf("%d tries in %s, want %d in %s and the pauses", sent, took, row.tries, least)
			}
		}
	})
}

func TestCancelDuringAPauseReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := roundTrip(func(*http.Request) (*http.Response, error) {
			return respond(429, `{"reason":"Too many."}`, "Retry-After", "100"), nil
		})
		for _, k := range kinds {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Second, cancel)
			began := time.Now()
			err := k.call(ctx, bubble(t, rt, ops.Pace{}))
			wantError(t, err, ops.Canceled, "while waiting to try again", "Too many.")
			if took := time.Since(began); took != 10*time.Second || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: returned after %s with %v", k.name, took, err)
			}
			late, stop := context.WithTimeout(t.Context(), 5*time.Second)
			wantError(t, k.call(late, bubble(t, rt, ops.Pace{})), ops.Unavailable)
			stop()
		}
	})
}
