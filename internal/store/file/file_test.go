package file_test

import (
	"net/url"
	"testing"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/file"
	"github.com/Sage-Bionetworks/synapse-ops-core/internal/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func(place string) (store.Driver, error) {
		u, err := url.Parse(place)
		if err != nil {
			return nil, err
		}
		return file.Open(u.Path)
	})
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Driver {
		d, err := file.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
