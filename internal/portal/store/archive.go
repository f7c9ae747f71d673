// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
	"unicode/utf8"
)

const (
	archiveFormat  = "portal-backup"
	archiveVersion = 1
	// maxArchiveLine is the maximum length of a row in a backup, in bytes.
	maxArchiveLine = 64 << 20
)

// Manifest is the first line of a backup. A backup is a gzip file of JSON lines: the manifest, then
// one array for each row, table by table in the manifest's order, and last the SHA-256 digest of
// all lines before. It does not depend on the kind of database.
type Manifest struct {
	Format    string    `json:"format"`
	Version   int       `json:"version"` // of the format
	CreatedAt time.Time `json:"createdAt"`
	Schema    int64     `json:"schema"` // the number of the newest migration of the database
	// SecretKeys are the ids of the keys under which secrets in the backup are encrypted.
	SecretKeys []string `json:"secretKeys"`
	// ClearSecrets means that secrets in the backup are not encrypted.
	ClearSecrets bool `json:"clearSecrets"`
	// AuditKeys are the ids of the keys that check the audit in the backup.
	AuditKeys []string        `json:"auditKeys"`
	Tables    []ManifestTable `json:"tables"`
}

// ManifestTable is a table in a backup.
type ManifestTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
}

// Rows returns the number of all rows.
func (m *Manifest) Rows() (n int64) {
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// trailer is the last line of a backup.
type trailer struct {
	SHA256 string `json:"sha256"`
}

// archiveWriter writes the lines of a backup.
type archiveWriter struct {
	zip *gzip.Writer
	sum hash.Hash
	out io.Writer // zip and sum
}

func newArchiveWriter(w io.Writer) *archiveWriter {
	zip, sum := gzip.NewWriter(w), sha256.New()
	return &archiveWriter{zip: zip, sum: sum, out: io.MultiWriter(zip, sum)}
}

func (w *archiveWriter) line(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	if b.Len() > maxArchiveLine {
		return fmt.Errorf("a row has %d bytes; a backup takes %d at most", b.Len(), maxArchiveLine)
	}
	_, err := w.out.Write(b.Bytes())
	return err
}

// end writes the digest.
func (w *archiveWriter) end() error {
	err := w.line(trailer{hex.EncodeToString(w.sum.Sum(nil))})
	return errors.Join(err, w.zip.Close())
}

// archiveReader reads the lines of a backup.
type archiveReader struct {
	lines *bufio.Scanner
	sum   hash.Hash
}

// newArchiveReader reads the manifest and checks it as far as the file alone can tell.
func newArchiveReader(r io.Reader) (*archiveReader, *Manifest, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, nil, fmt.Errorf("this is no backup of a portal: %w", err)
	}
	a := &archiveReader{lines: bufio.NewScanner(zip), sum: sha256.New()}
	a.lines.Buffer(nil, maxArchiveLine+1)
	a.lines.Split(wholeLines)
	line, err := a.next()
	if err != nil {
		return nil, nil, err
	}
	var m Manifest
	if err := json.Unmarshal(line, &m); err != nil || m.Format != archiveFormat {
		return nil, nil, errors.New("this is no backup of a portal: its first line is no manifest")
	}
	if m.Version != archiveVersion {
		return nil, nil, fmt.Errorf("the backup has version %d of the format, and this program reads version %d; restore it with the program that wrote it", m.Version, archiveVersion)
	}
	return a, &m, nil
}

// wholeLines is bufio.ScanLines without a last line that does not end.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if at := bytes.IndexByte(data, '\n'); at >= 0 {
		return at + 1, data[:at], nil
	}
	if atEOF && len(data) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return 0, nil, err
}

func (r *archiveReader) next() ([]byte, error) {
	if !r.lines.Scan() {
		if err := r.lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("read the backup: %w", err)
		}
		return nil, errors.New("the backup ends too early; it is only a part of the file")
	}
	_, _ = r.sum.Write(r.lines.Bytes()) // a hash never returns an error
	_, _ = r.sum.Write([]byte{'\n'})
	return r.lines.Bytes(), nil
}

// row reads a row with a value for each column.
func (r *archiveReader) row(columns []column) ([]any, error) {
	line, err := r.next()
	if err != nil {
		return nil, err
	}
	var fields []json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil || len(fields) != len(columns) {
		return nil, errors.New("a line is no row of the table")
	}
	values := make([]any, len(columns))
	for i, c := range columns {
		if values[i], err = decoded(fields[i], c.kind); err != nil {
			return nil, fmt.Errorf("the column %s: %w", c.name, err)
		}
	}
	return values, nil
}

// end checks that the digest follows, and nothing else.
func (r *archiveReader) end() error {
	want := hex.EncodeToString(r.sum.Sum(nil))
	line, err := r.next()
	if err != nil {
		return err
	}
	var t trailer
	if err := json.Unmarshal(line, &t); err != nil || t.SHA256 != want {
		return errors.New("the backup is not as it was written: its digest differs")
	}
	if r.lines.Scan() {
		return errors.New("the backup is not as it was written: lines follow its digest")
	}
	if err := r.lines.Err(); err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	return nil
}

// coded is text that JSON cannot represent.
type coded struct {
	Bytes []byte `json:"bytes"`
}

// encoded returns the value of a column for a line of a backup.
func encoded(value any, k kind) (any, error) {
	if b, ok := value.([]byte); ok {
		value = string(b)
	}
	switch v := value.(type) {
	case nil:
		return nil, nil //nolint:nilnil // NULL
	case bool:
		if k == kindBoolean {
			return v, nil
		}
	case int64:
		switch k {
		case kindInteger:
			return v, nil
		case kindBoolean: // SQLite
			return v != 0, nil
		case kindText:
		}
	case string:
		if k == kindText && utf8.ValidString(v) {
			return v, nil
		}
		if k == kindText {
			return coded{[]byte(v)}, nil
		}
	}
	return nil, fmt.Errorf("a value of the type %T in a column of the kind %s", value, k)
}

// decoded is the opposite of encoded.
func decoded(field json.RawMessage, k kind) (any, error) {
	if string(field) == "null" {
		return nil, nil //nolint:nilnil // NULL
	}
	var err error
	switch k {
	case kindBoolean:
		var v bool
		err = json.Unmarshal(field, &v)
		return v, err
	case kindInteger:
		var v int64
		err = json.Unmarshal(field, &v)
		return v, err
	case kindText:
		if field[0] == '{' {
			var v coded
			err = json.Unmarshal(field, &v)
			return string(v.Bytes), err
		}
		var v string
		err = json.Unmarshal(field, &v)
		return v, err
	}
	return nil, fmt.Errorf("unknown kind %s", k)
}
