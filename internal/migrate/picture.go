package migrate

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"slices"
	"time"
)

var colors = map[Kind]string{Counts: "#9467bd", Ranges: "#8c8c8c", Checksum: "#1f77b4", Backup: "#ff7f0e", Restore: "#2ca02c"}

// Picture draws what ran when, as SVG: a lane for each job that ran at the same time
// on a stack, longest types named.
func Picture(title string, jobs []Stretch) []byte {
	const width, height, left, top = 1200, 14, 110, 46
	var end, begin int64
	for _, j := range jobs {
		end = max(end, j.End)
		if begin == 0 || j.Began < begin {
			begin = j.Began
		}
	}
	span := float64(max(end-begin, 1))
	x := func(at int64) float64 { return left + float64(at-begin)/span*(width-left-10) }
	var body bytes.Buffer
	y := float64(top)
	for _, side := range []Side{Source, Destination} {
		lanes := lanesOf(jobs, side)
		fmt.Fprintf(&body, `<text x="4" y="%.0f" class="b">%s</text>`+"\n", y+11, side)
		for _, lane := range lanes {
			for _, m := range merged(lane, span) {
				w := max(x(m.End)-x(m.Began), 0.4)
				fmt.Fprintf(&body, `<rect x="%.1f" y="%.0f" width="%.1f" height="%d" fill="%s"><title>%s</title></rect>`+"\n", x(m.Began), y, w, height-2, colors[m.Kind], html.EscapeString(describe(m)))
				if name := m.Type; w > float64(7*len(name)) {
					fmt.Fprintf(&body, `<text x="%.1f" y="%.0f" class="n">%s</text>`+"\n", x(m.Began)+2, y+9, html.EscapeString(name))
				}
			}
			y += height
		}
		y += 10
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%.0f" font-family="sans-serif">`+"\n", width, y+24)
	fmt.Fprintf(&out, "<style>text{font-size:11px}.n{font-size:9px;fill:#fff}.b{font-weight:bold}</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n")
	fmt.Fprintf(&out, `<text x="4" y="16" class="b">%s: %s</text>`+"\n", html.EscapeString(title), short(time.Duration(end-begin)*time.Millisecond))
	for i, k := range Kinds() {
		fmt.Fprintf(&out, `<rect x="%d" y="24" width="10" height="10" fill="%s"/><text x="%d" y="33">%s</text>`+"\n", 110+90*i, colors[k], 124+90*i, k)
	}
	out.Write(body.Bytes())
	for i := range 11 {
		at := begin + (end-begin)*int64(i)/10
		fmt.Fprintf(&out, `<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>`+"\n", x(at), y+12, map[bool]string{true: "end", false: "middle"}[i == 10], short(time.Duration(at-begin)*time.Millisecond))
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}

func describe(j Stretch) string {
	return fmt.Sprintf("%s %s %d to %d, %s", j.Kind, j.Type, j.Span.Min, j.Span.Max, short(time.Duration(j.End-j.Began)*time.Millisecond))
}

// lanesOf puts jobs into as few lanes as they overlap.
func lanesOf(jobs []Stretch, side Side) [][]Stretch {
	mine := slices.DeleteFunc(slices.Clone(jobs), func(j Stretch) bool { return j.Side != side })
	slices.SortStableFunc(mine, func(a, b Stretch) int { return cmp.Compare(a.Began, b.Began) })
	var lanes [][]Stretch
	for _, j := range mine {
		at := slices.IndexFunc(lanes, func(l []Stretch) bool { return l[len(l)-1].End <= j.Began })
		if same := slices.IndexFunc(lanes, func(l []Stretch) bool {
			last := l[len(l)-1]
			return last.End <= j.Began && last.Type == j.Type && last.Kind == j.Kind
		}); same >= 0 {
			at = same
		}
		if at < 0 {
			lanes = append(lanes, nil)
			at = len(lanes) - 1
		}
		lanes[at] = append(lanes[at], j)
	}
	return lanes
}

// merged joins jobs of one type and kind that follow each other closely: thousands
// of them are no picture.
func merged(lane []Stretch, span float64) []Stretch {
	var out []Stretch
	for _, j := range lane {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.Type == j.Type && last.Kind == j.Kind && float64(j.Began-last.End) < span/800 {
				last.End, last.Span.Max = j.End, max(last.Span.Max, j.Span.Max)
				continue
			}
		}
		out = append(out, j)
	}
	return out
}
