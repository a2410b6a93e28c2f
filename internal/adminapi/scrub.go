package adminapi

import (
	"fmt"
	"strings"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// mostShown is how many characters of a text from outside a message shows.
const mostShown = 300

const withheld = "[withheld: it looks like a secret]"

var email = ops.Pattern(`[A-Za-z0-9._%+'-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)

// show quotes text from outside for a message: e-mail addresses are masked,
// invisible and control characters escaped, long texts cut; and a text that holds
// a token, or something of its shape, is withheld.
func (c *Client) show(text string) string {
	if s := c.escape(text); s != withheld {
		return `"` + s + `"`
	}
	return withheld
}

// plain is show without quotes, for paths and the texts of libraries.
func (c *Client) plain(text string) string {
	return strings.ReplaceAll(c.escape(text), `\"`, `"`)
}

// escape looks at text whole before it cuts, so that no part of a token slips
// through.
func (c *Client) escape(text string) string {
	if ops.LooksSecret(text) || c.tokens.in(text) {
		return withheld
	}
	if c.mask != nil {
		text = c.mask(text)
	}
	text = email().ReplaceAllStringFunc(strings.ToValidUTF8(text, "\uFFFD"), func(s string) string {
		return ops.MaskEmail(strings.Replace(s, "%40", "@", 1))
	})
	runes, cut := []rune(text), ""
	if len(runes) > mostShown {
		runes, cut = runes[:mostShown], fmt.Sprintf("… (%d bytes)", len(text))
	}
	var b strings.Builder
	for len(runes) > 0 { // ops.Quote would cut a longer piece
		n := min(len(runes), 100)
		q := ops.Quote(string(runes[:n]))
		b.WriteString(q[1 : len(q)-1])
		runes = runes[n:]
	}
	return b.String() + cut
}
