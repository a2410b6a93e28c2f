package migration

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Key and the secrets are what the served stacks accept: each its own secret.
const (
	Key               = "sandbox-migration"
	SourceSecret      = "sandbox-source-secret"
	DestinationSecret = "sandbox-destination-secret"
)

// Stacks are a pair's two stacks over HTTP. Safe for concurrent use.
type Stacks struct {
	now   func() time.Time
	began time.Time
	speed float64

	mu   sync.Mutex
	pair *Pair
}

// NewStacks serves p, whose time passes speed times as fast as now does, from now
// on; what jobs took is told in now's time. Nobody else may use p meanwhile but
// through Look.
func NewStacks(p *Pair, now func() time.Time, speed float64) *Stacks {
	return &Stacks{now: now, began: now(), speed: speed, pair: p}
}

// Look lets fn look at the pair at its present time.
func (s *Stacks) Look(fn func(p *Pair)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pair.Advance(max(s.pair.Now(), s.now().Sub(s.began).Seconds()*s.speed))
	fn(s.pair)
}

// Handler answers as one of the stacks.
func (s *Stacks) Handler(side Side) http.Handler {
	m := http.NewServeMux()
	open := func(pattern string, answer func(p *Pair, r *http.Request) (int, any)) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var status int
			var body any
			s.Look(func(p *Pair) {
				if err := p.Reach(side); err != nil {
					status, body = failure(err)
					return
				}
				status, body = answer(p, r)
			})
			reply(w, status, body)
		})
	}
	closed := func(pattern string, answer func(p *Pair, r *http.Request) (int, any)) {
		open(pattern, func(p *Pair, r *http.Request) (int, any) {
			if status, why := admitted(side, r); status != 0 {
				return status, reason(why)
			}
			return answer(p, r)
		})
	}
	state := func(p *Pair, _ *http.Request) (int, any) {
		return 200, p.stacks[side].state()
	}
	open("GET /repo/v1/status", state)
	closed("GET /repo/v1/admin/synapse/status", state)
	closed("PUT /repo/v1/admin/synapse/status", func(p *Pair, r *http.Request) (int, any) {
		var b stackState
		if err := read(r, &b); err != nil || !slices.Contains([]string{"READ_WRITE", "READ_ONLY", "DOWN"}, b.Status) {
			return 400, reason("status must be READ_WRITE, READ_ONLY or DOWN")
		}
		p.SetStackStatus(side, b.Status)
		p.stacks[side].message, p.stacks[side].pending = b.Current, b.Pending
		return state(p, r)
	})
	open("GET /repo/v1/version", func(p *Pair, _ *http.Request) (int, any) {
		name := p.Instances()[side]
		return 200, map[string]string{"version": name + ".0", "stackInstance": name}
	})
	closed("GET /repo/v1/migration/types/names", func(p *Pair, _ *http.Request) (int, any) {
		_, all := p.Types()
		return 200, map[string]any{"list": all}
	})
	closed("GET /repo/v1/migration/primarytypes/names", func(p *Pair, _ *http.Request) (int, any) {
		primary, _ := p.Types()
		names := []string{}
		for _, t := range primary {
			names = append(names, t.Name)
		}
		return 200, map[string]any{"list": names}
	})
	// Submit and Poll meet bursts themselves.
	direct := func(pattern string, answer func(p *Pair, r *http.Request) (int, any)) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			status, why := admitted(side, r)
			if status != 0 {
				reply(w, status, reason(why))
				return
			}
			var body any
			s.Look(func(p *Pair) { status, body = answer(p, r) })
			reply(w, status, body)
		})
	}
	direct("POST /repo/v1/admin/asynchronous/job", func(p *Pair, r *http.Request) (int, any) {
		sent, err := received(r)
		if err != nil {
			return 400, reason("the body must be JSON")
		}
		req, err := asked(p, sent)
		if err != nil {
			return 400, reason(err.Error())
		}
		req.Sent = sent
		id, err := p.Submit(side, req)
		if err != nil {
			return failure(err)
		}
		return 201, s.told(p, side, id, Status{})
	})
	direct("GET /repo/v1/admin/asynchronous/job/{id}", func(p *Pair, r *http.Request) (int, any) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return 404, reason("there is no such job")
		}
		st, err := p.Poll(side, id)
		switch {
		case errors.Is(err, ErrDown): // in the words of whoever stands between
			return between(p.stacks[side].requests)
		case err != nil:
			return failure(err)
		}
		return 200, s.told(p, side, id, st)
	})
	m.HandleFunc("GET /sandbox/report", func(w http.ResponseWriter, _ *http.Request) {
		var sum Summary
		s.Look(func(p *Pair) { sum = p.Summary() })
		reply(w, 200, sum)
	})
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		status := ""
		s.Look(func(p *Pair) { status = p.StackStatus(side) })
		if status != "READ_WRITE" && !answersAlways(r.URL.Path) {
			reply(w, 503, reason("Synapse is down for maintenance"))
			return
		}
		reply(w, 404, reason(r.Method+" "+r.URL.Path+" is not served here"))
	})
	return m
}

// answersAlways tells whether a path does, whatever the stack's status: the service
// looks for these words anywhere in it.
func answersAlways(path string) bool {
	return slices.ContainsFunc([]string{"/admin", "/migration", "/version", "/status"}, func(word string) bool { return strings.Contains(path, word) })
}

// Serve answers on l as one of the stacks until ctx ends.
func (s *Stacks) Serve(ctx context.Context, side Side, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(side),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Instances are the names by which the two answer.
func (p *Pair) Instances() [2]string {
	if p.config.Instances == [2]string{} {
		return [2]string{"543", "544"}
	}
	return p.config.Instances
}

// A stackState is a stack's status on the wire.
type stackState struct {
	Status  string `json:"status"`
	Current string `json:"currentMessage,omitempty"`
	Pending string `json:"pendingMaintenanceMessage,omitempty"`
}

func (st *stack) state() stackState { return stackState{st.status, st.message, st.pending} }

// admitted is 0, or the status and the reason of turning the caller away.
func admitted(side Side, r *http.Request) (int, string) {
	key, secret, ok := r.BasicAuth()
	want := [...]string{SourceSecret, DestinationSecret}[side]
	switch {
	case !ok:
		return 403, "Only an administrator may do this."
	case key != Key || subtle.ConstantTimeCompare([]byte(secret), []byte(want)) != 1:
		return 401, "Invalid credentials"
	}
	return 0, ""
}

// A page is what a proxy answers in the service's place.
type page string

func failure(err error) (int, any) {
	switch {
	case errors.Is(err, ErrDown):
		return 503, reason(err.Error())
	case errors.Is(err, ErrLost):
		return 504, reason(err.Error())
	}
	return 404, reason(err.Error())
}

// between is what a request meets instead of a stack that does not answer.
func between(n int64) (int, any) {
	switch n % 4 {
	case 0:
		return 502, page("<html><body><h1>502 Bad Gateway</h1></body></html>")
	case 1:
		return 503, page("<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>")
	case 2:
		return 429, reason("too many requests")
	}
	return failure(ErrDown)
}

func reason(text string) any {
	return map[string]string{"concreteType": "org.sagebionetworks.repo.model.ErrorResponse", "reason": text}
}

func reply(w http.ResponseWriter, status int, body any) {
	if p, ok := body.(page); ok {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(p))
		return
	}
	if status == 401 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Synapse"`)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func read(r *http.Request, into any) error {
	return json.NewDecoder(http.MaxBytesReader(nil, r.Body, 2<<20)).Decode(into)
}

// received is a request's body as the service keeps it: its fields in an order of its
// own.
func received(r *http.Request) (json.RawMessage, error) {
	var fields map[string]any
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 2<<20))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

const wirePackage = "org.sagebionetworks.repo.model.migration."

// asked reads a job's request. What the service would accept, to let the job fail,
// is refused here at once.
func asked(p *Pair, sent json.RawMessage) (Request, error) {
	var b struct {
		ConcreteType string
		AdminRequest struct {
			ConcreteType                                  string
			Types                                         []string
			MigrationType, Salt, BackupFileKey, AliasType string
			MinimumID                                     *int64 `json:"minimumId"`
			MaximumID                                     *int64 `json:"maximumId"`
			BatchSize, OptimalRowsPerRange                int64
		}
	}
	if err := json.Unmarshal(sent, &b); err != nil || b.ConcreteType != wirePackage+"AsyncMigrationRequest" {
		return Request{}, errors.New("the body must be an AsyncMigrationRequest")
	}
	a := b.AdminRequest
	q := Request{Type: a.MigrationType, Size: a.BatchSize, Salt: a.Salt, Key: a.BackupFileKey}
	spanned := true
	switch strings.TrimPrefix(a.ConcreteType, wirePackage) {
	case "AsyncMigrationTypeCountsRequest":
		if len(a.Types) == 0 {
			return q, errors.New("types must not be empty")
		}
		return Request{Kind: Counts, Types: a.Types}, nil
	case "CalculateOptimalRangeRequest":
		q.Kind, q.Size = Ranges, a.OptimalRowsPerRange
	case "BatchChecksumRequest":
		q.Kind = Checksum
		if a.Salt == "" {
			return q, errors.New("salt must not be empty")
		}
	case "BackupTypeRangeRequest":
		q.Kind = Backup
	case "RestoreTypeRequest":
		q.Kind, spanned = Restore, false
		if p.files[a.BackupFileKey].span == (Span{}) {
			return q, errors.New("there is no backup " + strconv.Quote(a.BackupFileKey))
		}
	default:
		return q, errors.New("no job is made by " + strconv.Quote(a.ConcreteType))
	}
	if q.Kind == Backup || q.Kind == Restore {
		if a.AliasType != "TABLE_NAME" && a.AliasType != "MIGRATION_TYPE_NAME" {
			return q, errors.New("aliasType must be TABLE_NAME or MIGRATION_TYPE_NAME")
		}
	}
	if _, ok := p.kinds[q.Type]; !ok {
		return q, errors.New("migrationType " + strconv.Quote(q.Type) + " is not a primary type")
	}
	if q.Size <= 0 {
		return q, errors.New("the size must be positive")
	}
	if spanned {
		if a.MinimumID == nil || a.MaximumID == nil || *a.MinimumID > *a.MaximumID {
			return q, errors.New("minimumId and maximumId must be a range")
		}
		q.Span = Span{*a.MinimumID, *a.MaximumID}
	}
	return q, nil
}

type jobStatus struct {
	ID        string `json:"jobId"`
	State     string `json:"jobState"`
	Canceling bool   `json:"jobCanceling"`
	StartedBy int64  `json:"startedByUserId"`
	StartedOn string `json:"startedOn"`
	ChangedOn string `json:"changedOn"`
	Etag      string `json:"etag"`
	Exception string `json:"exception,omitempty"`
	Error     string `json:"errorMessage,omitempty"`
	Details   string `json:"errorDetails,omitempty"`
	RuntimeMS int64  `json:"runtimeMS,omitempty"`
	Request   any    `json:"requestBody,omitempty"`
	Response  any    `json:"responseBody,omitempty"`
}

// told is a job's status on the wire. A range's end is exclusive there.
func (s *Stacks) told(p *Pair, side Side, id int64, st Status) jobStatus {
	known := p.stacks[side].jobs[id]
	kind := known.req.Kind
	on := func(seconds float64) string {
		return s.began.Add(time.Duration(seconds / s.speed * float64(time.Second))).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	type fields = map[string]any
	j := jobStatus{ID: number(id), State: "PROCESSING", StartedBy: 1, StartedOn: on(known.submitted), ChangedOn: on(known.submitted), Etag: "p" + number(id),
		Request: known.req.Sent}
	if !st.Done {
		return j
	}
	j.RuntimeMS, j.ChangedOn, j.Etag = int64(st.Took/s.speed*1000), on(known.submitted+st.Took), "d"+number(id)
	if st.Error != "" {
		j.State, j.Error, j.Exception, j.Details = "FAILED", st.Error, "java.lang.RuntimeException", "java.lang.RuntimeException: "+st.Error+"\n\tat o.s.Worker"
		return j
	}
	j.State = "COMPLETE"
	answer := fields{"concreteType": wirePackage + "RestoreTypeResponse", "restoredRowCount": st.Rows}
	switch {
	case kind == Counts:
		list := []fields{}
		for _, m := range st.Marks {
			f := fields{"type": m.Type}
			if m.Any {
				f["minid"], f["maxid"] = m.Span.Min, m.Span.Max
			}
			list = append(list, f)
		}
		answer = fields{"concreteType": wirePackage + "MigrationTypeCounts", "list": list}
	case kind == Ranges:
		list := []fields{}
		for _, r := range st.Ranges {
			list = append(list, fields{"minimumId": r.Min, "maximumId": r.Max + 1})
		}
		answer = fields{"concreteType": wirePackage + "CalculateOptimalRangeResponse", "migrationType": known.req.Type, "ranges": list}
	case kind == Checksum:
		list := []fields{}
		for _, b := range slices.Backward(st.Bins) { // their order is not promised
			list = append(list, fields{"binNumber": b.Number, "count": b.Count, "checksum": b.Checksum, "minimumId": b.Min, "maximumId": b.Max})
		}
		answer = fields{"concreteType": wirePackage + "BatchChecksumResponse", "migrationType": known.req.Type, "cheksums": list}
	case kind == Backup:
		answer = fields{"concreteType": wirePackage + "BackupTypeResponse", "backupFileKey": st.Key}
	}
	j.Response = fields{"concreteType": wirePackage + "AsyncMigrationResponse", "adminResponse": answer}
	return j
}
