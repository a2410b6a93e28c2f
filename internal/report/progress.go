package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// ProgressLine renders progress in one line of at most width columns, without a
// line end: a bar, counts, rate and the time remaining at that rate. Without a total
// there is no bar. rate is in units a second; 0: not known. Parts that do not fit are
// left out. Where there is a note it stands for rate and time, which whoever wrote it
// knows better, and is cut to what fits.
func ProgressLine(p ops.Progress, rate float64, width int) string {
	parts := []string{amount(p)}
	if rate > 0 && p.Note == "" {
		parts = append(parts, rateText(rate))
		if left := p.Total - p.Done; left > 0 {
			parts = append(parts, remaining(float64(left)/rate))
		}
	}
	if p.Failed > 0 {
		parts = append(parts, number(p.Failed)+" failed")
	}
	line := bar(p, width)
	for i, part := range parts {
		sep := ", "
		if i == 0 {
			sep = ""
			if line != "" {
				sep = " "
			}
		}
		if cells(line)+cells(sep)+cells(part) > width {
			break
		}
		line += sep + part
	}
	if note := cut(Clean(p.Note), width-cells(line)-2); note != "" && line != "" {
		line += ", " + note
	}
	return line
}

// leastNote is the shortest beginning of a note that tells something, in columns.
const leastNote = 12

// cut returns as much of s as fits, "" where that is too little.
func cut(s string, width int) string {
	if cells(s) <= width {
		return s
	}
	if width < leastNote {
		return ""
	}
	for r := []rune(s); len(r) > 0; r = r[:len(r)-1] {
		if cells(string(r))+1 <= width {
			return string(r) + "…"
		}
	}
	return ""
}

func amount(p ops.Progress) string {
	s := number(p.Done)
	if p.Total > 0 {
		s += "/" + number(p.Total)
	}
	if p.Unit != "" {
		s += " " + Clean(p.Unit)
	}
	return s
}

// bar takes a quarter of the width, at most 30 columns; none when the total is
// unknown or the line is narrow.
func bar(p ops.Progress, width int) string {
	n := min(width/4, 30)
	if p.Total <= 0 || n < 8 {
		return ""
	}
	part := min(1, max(0, float64(p.Done)/float64(p.Total)))
	// Rounded down, both: full and 100 % mean that all is done.
	full := int(part * float64(n))
	return fmt.Sprintf("[%s%s] %3d%%", strings.Repeat("#", full), strings.Repeat("-", n-full), int(part*100))
}

func rateText(rate float64) string {
	switch {
	case rate >= 10:
		return number(int64(rate+0.5)) + "/s"
	case rate >= 1:
		return fmt.Sprintf("%.1f/s", rate)
	}
	if rate*60 < 0.1 {
		return fmt.Sprintf("%.1f/h", rate*3600)
	}
	return fmt.Sprintf("%.1f/min", rate*60)
}

func remaining(seconds float64) string {
	if seconds > float64(math.MaxInt64)/float64(time.Second) || seconds > 1e7 {
		return "months left"
	}
	return length(time.Duration(math.Ceil(seconds))*time.Second) + " left"
}
