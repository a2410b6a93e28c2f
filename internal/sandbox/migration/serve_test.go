package migration

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestOnTheWire: what a client must cope with is as the service has it.
func TestOnTheWire(t *testing.T) {
	p, err := New(Config{Seed: 1, Profile: "E", Situation: "initial", Scale: 1000, Types: []string{"TEAM", "CHANGE"}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	served := NewStacks(p, func() time.Time { return now }, 1)
	as := SourceSecret
	ask := func(side Side, method, path, body string) (int, http.Header, map[string]any) {
		t.Helper()
		r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
		if as != "" {
			r.SetBasicAuth(Key, as)
		}
		w := httptest.NewRecorder()
		served.Handler(side).ServeHTTP(w, r)
		var m map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
			t.Fatalf("%s %s: %s", method, path, w.Body)
		}
		return w.Code, w.Header(), m
	}
	const jobs = "/repo/v1/admin/asynchronous/job"
	job := func(side Side, kind, rest string) map[string]any {
		t.Helper()
		status, _, m := ask(side, "POST", jobs, `{"concreteType":"`+wirePackage+`AsyncMigrationRequest","adminRequest":{"concreteType":"`+wirePackage+kind+`",`+rest+`}}`)
		id, isText := m["jobId"].(string)
		if status != 201 || !isText || m["jobState"] != "PROCESSING" || m["startedOn"] != now.Format("2006-01-02T15:04:05.000Z") {
			t.Fatalf("%s was answered %d %v", kind, status, m)
		}
		for range 600 {
			now = now.Add(time.Second)
			if status, _, m = ask(side, "GET", jobs+"/"+id, ""); m["jobState"] != "PROCESSING" {
				break
			}
		}
		if status != 200 || m["jobState"] != "COMPLETE" {
			t.Fatalf("%s ended with %d %v", kind, status, m)
		}
		return m["responseBody"].(map[string]any)["adminResponse"].(map[string]any)
	}
	list := func(m map[string]any, key string) []map[string]any {
		t.Helper()
		var out []map[string]any
		for _, x := range m[key].([]any) {
			out = append(out, x.(map[string]any))
		}
		return out
	}

	for _, c := range []struct {
		secret, method, path string
		side                 Side
		want                 int
	}{
		{"", "GET", "/repo/v1/version", Source, 200},
		{"", "GET", "/repo/v1/status", Source, 200},
		{"", "GET", "/repo/v1/migration/types/names", Source, 403},
		{DestinationSecret, "GET", "/repo/v1/migration/types/names", Source, 401},
		{SourceSecret, "GET", "/repo/v1/migration/delta", Source, 404},
		{SourceSecret, "GET", "/repo/v1/entity/syn1", Source, 404},
		{SourceSecret, "GET", jobs + "/77", Source, 404},
	} {
		as = c.secret
		status, h, m := ask(c.side, c.method, c.path, "")
		if status != c.want || status >= 400 && m["reason"] == "" || status == 401 && h.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s with %q: %d %v, want %d", c.method, c.path, c.secret, status, m, c.want)
		}
	}

	as = DestinationSecret
	if status, _, m := ask(Destination, "PUT", "/repo/v1/admin/synapse/status", `{"status":"READ_ONLY"}`); status != 200 || m["status"] != "READ_ONLY" || len(m) != 1 {
		t.Errorf("set READ_ONLY: %d %v", status, m)
	}
	if status, _, _ := ask(Destination, "GET", "/repo/v1/entity/syn1", ""); status != 503 {
		t.Errorf("a stack that is READ_ONLY answers its users with %d, want 503", status)
	}
	empty := list(job(Destination, "AsyncMigrationTypeCountsRequest", `"types":["CHANGE","TEAM"]`), "list")
	if len(empty) != 2 || empty[0]["type"] != "CHANGE" || len(empty[0]) != 1 {
		t.Errorf("the counts of empty tables are %v, want no bounds and no counts, in the order asked", empty)
	}

	as = SourceSecret
	counts := list(job(Source, "AsyncMigrationTypeCountsRequest", `"types":["TEAM"]`), "list")
	if _, has := counts[0]["count"]; has || counts[0]["minid"] == nil || counts[0]["maxid"] == nil {
		t.Errorf("the counts are %v, want bounds and no counts", counts)
	}
	const all = `"migrationType":"TEAM","minimumId":1,"maximumId":3600`
	ranges := list(job(Source, "CalculateOptimalRangeRequest", all+`,"optimalRowsPerRange":7`), "ranges")
	gaps, last := 0, 0.0
	for _, r := range ranges {
		if r["minimumId"].(float64) < last || r["maximumId"].(float64) <= r["minimumId"].(float64) {
			t.Errorf("the range %v begins before %v", r, last)
		}
		if r["minimumId"].(float64) > last {
			gaps++
		}
		last = r["maximumId"].(float64)
	}
	if last != counts[0]["maxid"].(float64)+1 || gaps < 2 {
		t.Errorf("the last of %d ranges ends at %v with %d gaps, want the exclusive end of %v, and gaps", len(ranges), last, gaps, counts[0]["maxid"])
	}
	bins := list(job(Source, "BatchChecksumRequest", all+`,"salt":"s","batchSize":50`), "cheksums")
	if sum, _ := bins[0]["checksum"].(string); len(bins) < 2 || !strings.Contains(sum, "%") || bins[0]["binNumber"].(float64) < bins[1]["binNumber"].(float64) {
		t.Errorf("the bins are %v, want SUM%%XOR, and no order to rely on", bins[:2])
	}
}

// TestSumsAsTheServiceDoes: the vectors that are known of it.
func TestSumsAsTheServiceDoes(t *testing.T) {
	for _, c := range []struct {
		etag bool
		want string
	}{{true, "6040181620%1744426100"}, {false, "5226607562%2792819636"}} {
		var sum, xor uint64
		for id, tag := range map[int64]string{12: "e12", 13: "e13"} {
			x := crc(appendSummed(nil, id, tag, c.etag, "salt"))
			sum, xor = sum+x, xor^x
		}
		if got := number(int64(sum)) + "%" + number(int64(xor)); got != c.want {
			t.Errorf("with etag %t: %s, want %s", c.etag, got, c.want)
		}
	}
}
