// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockFolder refuses a second instance on the same data. The lock ends with the process.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(file.Name())
		_ = file.Close()
		return nil, fmt.Errorf("another instance (process %s) uses %s: stop it, or choose another folder with --dir or RUN_DIR", strings.TrimSpace(string(holder)), dir)
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// credentials contains the secrets of one data folder. They are created once, as files that only
// their owner can read.
type credentials struct {
	folder string
	values map[string]string
}

// Names of the credentials' files.
const (
	adminPassword   = "portal-admin-password"
	manageKey       = "portal-key-manage"
	provisioningKey = "portal-key-provisioning"
	scimKey         = "portal-key-scim"
	clientSecret    = "sso-client-secret"
	ssoPassword     = "sso-password"
	targetToken     = "scim-target-token"
	kubernetesToken = "kubernetes-admin-token"
)

func loadCredentials(folder string) (credentials, error) {
	c := credentials{folder: folder, values: map[string]string{}}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return c, err
	}
	for name, prefix := range map[string]string{
		adminPassword: "", manageKey: "lrp_", provisioningKey: "lrp_", scimKey: "lrp_", clientSecret: "", ssoPassword: "", targetToken: "", kubernetesToken: "",
	} {
		value, err := once(filepath.Join(folder, name), prefix)
		if err != nil {
			return c, err
		}
		c.values[name] = value
	}
	return c, nil
}

func (c credentials) file(name string) string { return filepath.Join(c.folder, name) }

func (c credentials) get(name string) string { return c.values[name] }

// once reads a secret, or creates it if there is none.
func once(file, prefix string) (string, error) {
	content, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	value := prefix + base64.RawURLEncoding.EncodeToString(random)
	return value, writeFile(file, []byte(value+"\n"))
}

// writeFile replaces a file atomically; only its owner can read it.
func writeFile(file string, content []byte) error {
	part := file + ".part"
	if err := os.WriteFile(part, content, 0o600); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// keepOldLogs renames the logs of the last start, so that each log is of one start.
func keepOldLogs(folder string) error {
	logs, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil {
		return err
	}
	for _, log := range logs {
		if err := os.Rename(log, log+".old"); err != nil {
			return err
		}
	}
	return nil
}
