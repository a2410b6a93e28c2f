package redact

// A matcher finds every occurrence of many patterns in one pass over a text
// (Aho-Corasick). Its state after some text is the longest end of that text which
// begins a pattern; that is what a writer must hold back. Once linked it does not
// change and may be shared.
type matcher struct {
	nodes []node
	start [256]int32 // children of the root: nearly all text stays there
}

const root int32 = 0

// A node is one beginning of a pattern. Children hang in a list: patterns are few
// and long, so nearly every node has one child.
type node struct {
	parent, child, sibling int32
	fail                   int32 // the longest other end of this text that is a node
	depth                  int32 // length of this text
	match                  int32 // length of the longest pattern that ends here; 0: none
	char                   byte
}

func newMatcher() *matcher { return &matcher{nodes: make([]node, 1)} }

func (m *matcher) add(pattern string) {
	at := root
	for i := range len(pattern) {
		next := m.childOf(at, pattern[i])
		if next == 0 {
			next = int32(len(m.nodes))
			m.nodes = append(m.nodes, node{parent: at, sibling: m.nodes[at].child, depth: m.nodes[at].depth + 1, char: pattern[i]})
			m.nodes[at].child = next
			if at == root {
				m.start[pattern[i]] = next
			}
		}
		at = next
	}
	m.nodes[at].match = int32(len(pattern))
}

// childOf returns the child of at by c; 0 when there is none.
func (m *matcher) childOf(at int32, c byte) int32 {
	if at == root {
		return m.start[c]
	}
	for n := m.nodes[at].child; n != 0; n = m.nodes[n].sibling {
		if m.nodes[n].char == c {
			return n
		}
	}
	return 0
}

// link sets the fail links, shallow nodes first. It is called once, after the
// last add.
func (m *matcher) link() {
	var queue []int32
	for n := m.nodes[root].child; n != 0; n = m.nodes[n].sibling {
		queue = append(queue, n)
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for n := m.nodes[at].child; n != 0; n = m.nodes[n].sibling {
			m.nodes[n].fail = m.next(m.nodes[at].fail, m.nodes[n].char)
			if m.nodes[n].match == 0 {
				m.nodes[n].match = m.nodes[m.nodes[n].fail].match
			}
			queue = append(queue, n)
		}
	}
}

// next returns the state after c.
func (m *matcher) next(at int32, c byte) int32 {
	for {
		if n := m.childOf(at, c); n != 0 {
			return n
		}
		if at == root {
			return root
		}
		at = m.nodes[at].fail
	}
}

// text returns the text that state at stands for.
func (m *matcher) text(at int32) []byte {
	out := make([]byte, m.nodes[at].depth)
	for ; at != root; at = m.nodes[at].parent {
		out[m.nodes[at].depth-1] = m.nodes[at].char
	}
	return out
}
