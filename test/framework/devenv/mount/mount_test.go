// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "secret")
	steps := []struct {
		reason string
		data   map[string][]byte
	}{
		{"The Secret has its first content.", map[string][]byte{"a": []byte("1"), "b": []byte("2")}},
		{"One key of the Secret changes.", map[string][]byte{"a": []byte("1"), "b": []byte("3")}},
		{"One key of the Secret is removed and another is added.", map[string][]byte{"b": []byte("3"), "c": []byte("4")}},
		{"The Secret is deleted.", nil},
		{"The Secret is created again.", map[string][]byte{"a": []byte("5")}},
	}
	for _, step := range steps {
		if err := Write(folder, step.data); err != nil {
			t.Fatalf("%s: %v", step.reason, err)
		}
		want := map[string]string{}
		for key, value := range step.data {
			want[key] = string(value)
		}
		if diff := cmp.Diff(want, read(t, folder)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
	}
}

func TestWriteAgainChangesNothing(t *testing.T) {
	folder := t.TempDir()
	data := map[string][]byte{"a": []byte("1")}
	var targets []string
	for range 2 {
		if err := Write(folder, data); err != nil {
			t.Fatal(err)
		}
		target, err := os.Readlink(filepath.Join(folder, dataLink))
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	if targets[0] != targets[1] {
		t.Errorf("the same content was written twice: %v", targets)
	}
}

// TestWriteIsAtomic reads while the content changes: a reader sees one state or the other.
func TestWriteIsAtomic(t *testing.T) {
	folder := t.TempDir()
	long := map[string][]byte{"k": []byte(strings.Repeat("a", 1<<16))}
	other := map[string][]byte{"k": []byte(strings.Repeat("b", 1<<16))}
	if err := Write(folder, long); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	stop := make(chan struct{})
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			content, err := os.ReadFile(filepath.Join(folder, "k"))
			if err != nil {
				continue // while the old content is being removed; a reader reads again, as in a cluster
			}
			if len(content) != 1<<16 || strings.Count(string(content), string(content[:1])) != 1<<16 {
				t.Errorf("a part of a file was read: %d bytes", len(content))
				return
			}
		}
	})
	for i := range 200 {
		data := long
		if i%2 == 0 {
			data = other
		}
		if err := Write(folder, data); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	reading.Wait()
}

func TestWriteRefusesPaths(t *testing.T) {
	for _, key := range []string{"../x", "a/b", "..data"} {
		if err := Write(t.TempDir(), map[string][]byte{key: nil}); err == nil {
			t.Errorf("key %q was written", key)
		}
	}
}

func read(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(content)
	}
	return out
}
