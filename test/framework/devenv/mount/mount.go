// SPDX-License-Identifier: Apache-2.0

// Package mount does the kubelet's work for programs that run without Pods: it writes the content
// of chosen Secrets as files, in the layout of a mounted Secret, so that a program under test sees
// tokens appear and change as in a cluster:
//
//	<folder>/<secret>/..1234567890   the content, one file for each key; the name is random
//	<folder>/<secret>/..data         a link to the content, replaced in one step
//	<folder>/<secret>/<key>          a link to ..data/<key>
//
// When a Secret is deleted, its folder stays without files of keys, as in a Pod with an optional
// Secret volume.
package mount

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const dataLink = "..data"

// Write replaces the content of folder with data. Each file has its old or its new content, never
// a part of each; a reader of several files can see both versions. If the content is the same
// already, Write changes no file.
func Write(folder string, data map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if same(folder, data) {
		return nil
	}
	fresh, err := writeContent(folder, data)
	if err != nil {
		return err
	}
	old, _ := os.Readlink(filepath.Join(folder, dataLink)) // "" at first
	if err := relink(folder, filepath.Base(fresh)); err != nil {
		return err
	}
	if err := linkKeys(folder, data); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(folder, old))
	}
	return nil
}

func writeContent(folder string, data map[string][]byte) (string, error) {
	fresh, err := os.MkdirTemp(folder, "..")
	if err != nil {
		return "", err
	}
	for key, value := range data {
		if key != filepath.Base(key) || strings.HasPrefix(key, "..") {
			return "", fmt.Errorf("key %q cannot be used: it must be a file name that does not begin with \"..\"", key)
		}
		if err := os.WriteFile(filepath.Join(fresh, key), value, 0o600); err != nil {
			return "", err
		}
	}
	return fresh, nil
}

// relink makes ..data point to target, atomically.
func relink(folder, target string) error {
	next := filepath.Join(folder, "..data_tmp")
	if err := os.Remove(next); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(folder, dataLink))
}

// linkKeys adds the links of new keys and removes those of removed keys.
func linkKeys(folder string, data map[string][]byte) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		if _, wanted := data[name]; !wanted {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				return err
			}
			continue
		}
		there[name] = true
	}
	for key := range data {
		if there[key] {
			continue
		}
		if err := os.Symlink(filepath.Join(dataLink, key), filepath.Join(folder, key)); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether ..data in folder contains exactly the keys and values of data.
func same(folder string, data map[string][]byte) bool {
	entries, err := os.ReadDir(filepath.Join(folder, dataLink))
	if err != nil || len(entries) != len(data) {
		return false
	}
	for key, value := range data {
		content, err := os.ReadFile(filepath.Join(folder, dataLink, key))
		if err != nil || !bytes.Equal(content, value) {
			return false
		}
	}
	return true
}
