package synapse

import "encoding/json"

// MigrationPackage precedes the concrete types of migration's requests and answers.
const MigrationPackage = "org.sagebionetworks.repo.model.migration."

// MigrationAlias is how backups name their tables.
const MigrationAlias = "MIGRATION_TYPE_NAME"

// MigrationEnvelope is what carries a request to the asynchronous jobs.
type MigrationEnvelope struct {
	ConcreteType string          `json:"concreteType"`
	Request      json.RawMessage `json:"adminRequest"`
}

// MigrationRestore is the concrete type of a MigrationRestoreRequest.
const MigrationRestore = "RestoreTypeRequest"

// MigrationRequest is what a job is asked for with, as it is sent and as a look at the
// job shows it; concrete is the type of request, which must be a struct.
func MigrationRequest(concrete string, request any) (json.RawMessage, error) {
	inner, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	prefix := []byte(`{"concreteType":"` + MigrationPackage + concrete + `",`)
	return json.Marshal(MigrationEnvelope{ConcreteType: MigrationRequestType, Request: append(prefix, inner[1:]...)})
}

// MigrationRange is a range of IDs, both ends inclusive.
type MigrationRange struct{ Min, Max int64 }

// MigrationCountsRequest asks for the lowest and highest ID per type.
type MigrationCountsRequest struct {
	Types []string `json:"types"`
}

// MigrationRangesRequest asks for ranges of so many rows.
type MigrationRangesRequest struct {
	Type string `json:"migrationType"`
	Min  int64  `json:"minimumId"`
	Max  int64  `json:"maximumId"`
	Rows int64  `json:"optimalRowsPerRange"`
}

// MigrationChecksumRequest asks for a checksum per bin.
type MigrationChecksumRequest struct {
	Type string `json:"migrationType"`
	Salt string `json:"salt"`
	Min  int64  `json:"minimumId"`
	Max  int64  `json:"maximumId"`
	Bin  int64  `json:"batchSize"`
}

// MigrationBackupRequest asks for a file of a range's rows.
type MigrationBackupRequest struct {
	Type  string `json:"migrationType"`
	Alias string `json:"aliasType"`
	Batch int64  `json:"batchSize"`
	Min   int64  `json:"minimumId"`
	Max   int64  `json:"maximumId"`
}

// MigrationRestoreRequest asks to replace a range's rows by a file's.
type MigrationRestoreRequest struct {
	Type  string `json:"migrationType"`
	Alias string `json:"aliasType"`
	Key   string `json:"backupFileKey"`
	Batch int64  `json:"batchSize"`
	Min   int64  `json:"minimumRowId"`
	Max   int64  `json:"maximumRowId"`
}

// NewMigrationRestoreRequest asks to restore the backup named key, which is r's.
func NewMigrationRestoreRequest(kind, key string, r MigrationRange, batch int64) MigrationRestoreRequest {
	return MigrationRestoreRequest{Type: kind, Alias: MigrationAlias, Key: key, Batch: batch, Min: r.Min, Max: r.Max}
}

// MigrationAnswer is what a job answers; which field depends on its kind.
type MigrationAnswer struct {
	Counts    []MigrationCount    `json:"list"`
	Ranges    []MigrationIDs      `json:"ranges"`
	Checksums []MigrationChecksum `json:"cheksums"` // spelled so by the service
	BackupKey string              `json:"backupFileKey"`
	Restored  int64               `json:"restoredRowCount"` // secondary rows included
}

// MigrationCount has a type's lowest and highest ID; both nil: no rows.
type MigrationCount struct {
	Type string `json:"type"`
	Min  *int64 `json:"minid"`
	Max  *int64 `json:"maxid"`
}

// MigrationIDs is a range as the service cuts it: unlike every other, its end is
// exclusive.
type MigrationIDs struct {
	Min int64 `json:"minimumId"`
	End int64 `json:"maximumId"`
}

// MigrationChecksum is one bin's; bins come in no order, and empty ones do not.
type MigrationChecksum struct {
	Bin   int64  `json:"binNumber"`
	Count int64  `json:"count"`
	Sum   string `json:"checksum"`
	Min   int64  `json:"minimumId"`
	Max   int64  `json:"maximumId"`
}
