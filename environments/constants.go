// Package constants holds the environments' constants files, by the environment's
// name: what tasks of lane deploy are given where nobody gives it. They are data:
// reviewed here, read and checked elsewhere.
package constants

import "embed"

//go:embed *.yaml
var files embed.FS

// Of returns the constants file of an environment, false when it has none.
func Of(environment string) ([]byte, bool) {
	data, err := files.ReadFile(environment + ".yaml")
	return data, err == nil
}
