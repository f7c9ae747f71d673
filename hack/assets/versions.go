// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Stamps record the versions in a folder.
const (
	stampFile            = ".versions"
	controllersStampFile = ".versions-controllers"
)

// versions are those in hack/controlplane/go.mod.
type versions struct {
	kubernetes string // v1.37.2
	etcd       string // v3.7.0
}

func (v versions) String() string { return "kubernetes " + v.kubernetes + ", etcd " + v.etcd }

// minor returns the Kubernetes version without its patch: 1.37.
func (v versions) minor() string {
	parts := strings.SplitN(strings.TrimPrefix(v.kubernetes, "v"), ".", 3)
	return strings.Join(parts[:2], ".")
}

// ldflags make the server answer with its version, as upstream's own build does.
func (v versions) ldflags() string {
	const pkg = "k8s.io/component-base/version."
	major, minor, _ := strings.Cut(v.minor(), ".")
	return fmt.Sprintf("-s -w -X %[1]sgitVersion=%[2]s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s -X %[1]sgitTreeState=clean",
		pkg, v.kubernetes, major, minor)
}

// wanted reads the versions from the module file, the only place that has them.
func wanted(ctx context.Context) (versions, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "edit", "-json", filepath.Join("hack", "controlplane", "go.mod")).Output()
	if err != nil {
		return versions{}, fmt.Errorf("read hack/controlplane/go.mod: %w", err)
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return versions{}, fmt.Errorf("read hack/controlplane/go.mod: %w", err)
	}
	var v versions
	for _, r := range mod.Require {
		switch r.Path {
		case "k8s.io/kubernetes":
			v.kubernetes = r.Version
		case "go.etcd.io/etcd/server/v3":
			v.etcd = r.Version
		}
	}
	if strings.Count(v.kubernetes, ".") < 2 || v.etcd == "" {
		return versions{}, fmt.Errorf("hack/controlplane/go.mod requires no k8s.io/kubernetes or no etcd server")
	}
	return v, nil
}

func readStamp(dir, file string) string {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func writeStamp(dir, file, text string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o644)
}
