package trial

import (
	"context"
	"slices"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/migrate"
)

// How long records wait for company, in seconds, as migrate.Batch has it: before a
// restore begins they are written; IDs and what else there is follow.
const (
	waitAccepted = 0.05
	waitOther    = 10
)

// A memory journal keeps what was saved over kills.
type memory struct {
	v       *virtual
	records []migrate.Record
	saves   int
	waiting []migrate.Record // lost with the process
	due     float64          // when they are written; 0: not yet decided
}

// process begins with another process.
func (m *memory) process(v *virtual) { m.v, m.waiting, m.due = v, nil, 0 }

func (m *memory) Save(_ context.Context, records []migrate.Record) error {
	m.waiting = append(m.waiting, records...)
	if has(records, func(r migrate.Record) bool { return r.Op == "start" && r.Job != nil && r.Job.Kind == migrate.Restore }) {
		m.v.sleep(saveTime)
		return m.write()
	}
	wait := float64(waitOther)
	if has(records, func(r migrate.Record) bool { return r.Op == "accepted" }) {
		wait = waitAccepted
	}
	if at := m.v.pair.Now() + wait; m.due == 0 || at < m.due {
		m.due = at
		m.v.later(wait, func() {
			if m.due > 0 && m.due <= m.v.pair.Now() {
				m.v.later(saveTime, func() { _ = m.write() }) // nothing waits for it
				m.due = 0
			}
		})
	}
	return nil
}

func has(records []migrate.Record, what func(migrate.Record) bool) bool {
	return slices.ContainsFunc(records, what)
}

// write makes durable what waits, unless the process is killed meanwhile: then it may
// be there or not.
func (m *memory) write() error {
	dead := m.v.dead()
	if !dead || m.v.jitter.IntN(2) == 0 {
		m.records = append(m.records, m.waiting...)
	}
	m.waiting, m.due = nil, 0
	m.saves++
	if dead {
		return errKilled
	}
	return nil
}
