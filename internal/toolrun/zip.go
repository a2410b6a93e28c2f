package toolrun

import (
	"archive/zip"
	"slices"
)

// zipNames lists the names in a zip archive, sorted.
func zipNames(file string) ([]string, error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	names := make([]string, len(z.File))
	for i, f := range z.File {
		names[i] = f.Name
	}
	slices.Sort(names)
	return names, nil
}
