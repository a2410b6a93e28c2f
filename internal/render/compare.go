package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// A Change is what differs between rendered files and those that are there.
type Change struct {
	Path string `json:"path"`
	Kind string `json:"kind"` // new, changed or gone
}

// Compare tells what differs between want and a checkout of the core repository. Files
// that are in Folders and are not wanted are gone. Sorted by path.
func Compare(checkout fs.FS, want []File) ([]Change, error) {
	var out []Change
	wanted := map[string]bool{}
	for _, f := range want {
		wanted[f.Path] = true
		have, err := fs.ReadFile(checkout, f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out = append(out, Change{f.Path, "new"})
		case err != nil:
			return nil, fmt.Errorf("reading what was rendered before: %w", err)
		case !bytes.Equal(have, f.Data):
			out = append(out, Change{f.Path, "changed"})
		}
	}
	for _, folder := range Folders() {
		err := fs.WalkDir(checkout, folder, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == folder {
				return fs.SkipDir
			}
			if err == nil && !d.IsDir() && !wanted[name] {
				out = append(out, Change{name, "gone"})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading what was rendered before: %w", err)
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return out, nil
}

// Folder is the folder of the core repository that holds a repository's dashboard.
func Folder(repository string) string { return path.Join("dashboards", path.Base(repository)) }
