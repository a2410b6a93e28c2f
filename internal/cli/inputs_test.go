package cli_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestLongList: the command that does what was planned can be read and pasted, also
// where it is about hundreds of targets that came from a file.
func TestLongList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var ids []string
	for i := range 200 {
		ids = append(ids, fmt.Sprint(3400001+i))
	}
	few, many := r.file("few.txt", "3400001 3400003"), r.file("many.txt", strings.Join(ids, "\n"))
	wantAnswer(t, r.synops(nil, "plan", "decertify-user", "users=@"+few, "-e", "dev", "--rate", "0"), 0, "synops run decertify-user users=3400001,3400003 -e dev --plan")
	wantAnswer(t, r.synops(nil, "plan", "decertify-user", "users=@"+many, "-e", "dev", "--rate", "0"), 0, "synops run decertify-user users=@"+many+" -e dev --plan")
	wantAnswer(t, r.synops(nil, "plan", "decertify-user", "users="+strings.Join(ids, ","), "-e", "dev", "--rate", "0"), 0, "synops run decertify-user users="+strings.Join(ids, ",")+" -e dev --plan")
}
