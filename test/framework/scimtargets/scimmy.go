// SPDX-License-Identifier: Apache-2.0

package scimtargets

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// SCIMMY runs a server of the npm package scimmy. `make test-programs` installs Node and the
// package; the tests never skip.
func SCIMMY(t testing.TB) *Target {
	t.Helper()
	if !HasSCIMMY() {
		t.Fatal("SCIMMY is not installed; run make test-programs")
	}
	here, modules := scimmyFolders()
	command := exec.CommandContext(context.Background(), "node", filepath.Join(here, "scimmy", "server.cjs"), Token) // the cleanup ends it
	command.Env = append(os.Environ(), "NODE_PATH="+modules)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // the server ends then
		_ = command.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("SCIMMY printed no address: %v", err)
	}
	base, path, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "http://"), "/")
	return serve(t, "SCIMMY", "/"+path, proxy(t, "http://"+base))
}

// HasSCIMMY reports whether the package is installed.
func HasSCIMMY() bool {
	_, modules := scimmyFolders()
	_, err := os.Stat(filepath.Join(modules, "scimmy"))
	return err == nil
}

// scimmyFolders returns the folder of this file and that of the installed packages.
func scimmyFolders() (here, modules string) {
	_, file, _, _ := runtime.Caller(0)
	here = filepath.Dir(file)
	return here, filepath.Join(here, "..", "..", "..", "bin", "scimmy", "node_modules")
}
