// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// installSCIMMY installs the npm packages and our server into a folder. The error names what is
// missing.
func installSCIMMY(ctx context.Context, dir string) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed (Debian: apt-get install nodejs npm)", program)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("hack", "bench", "scimmy"))); err != nil {
		return err
	}
	fmt.Println("  installing SCIMMY")
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm install: %w: %.300s", err, out)
	}
	return nil
}

// child is a server started for one size.
type child struct {
	url  string
	pid  int
	stop func() error
}

// start runs a server and waits for the URL that it prints.
func start(ctx context.Context, name string, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() error {
		_ = cmd.Process.Kill() // it may have ended
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			return err
		}
		return nil
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	timer.Stop()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s %s printed no address: %w", name, strings.Join(args, " "), err), stop())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return &child{url: strings.TrimSpace(line), pid: cmd.Process.Pid, stop: stop}, nil
}

// startPrepared fetches the webhook's responses, and starts the server that repeats them.
func (s *suite) startPrepared(ctx context.Context, n int) (*child, error) {
	dir := filepath.Join(s.dir, "prepared")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for name, path := range map[string]string{
		"list": listPath(n / 2), "projected": listPath(n/2) + "&attributes=userName,active", "equal": equalPath(n / 2), "get": "/Users/" + personID(n/2),
	} {
		keep := func(answer []byte) error { return os.WriteFile(filepath.Join(dir, name), answer, 0o600) }
		if err := s.ours.send(ctx, "GET", path, nil, keep); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, self, "serve-prepared", dir)
}

func startElimity(ctx context.Context, n int) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, self, "serve-elimity", strconv.Itoa(n))
}

func (s *suite) startSCIMMY(ctx context.Context, n int) (*child, error) {
	var people strings.Builder
	for i := range n {
		p := person(personName(i))
		p["id"] = personID(i)
		people.Write(body(p))
		people.WriteByte('\n')
	}
	dir := filepath.Join(s.dir, "scimmy")
	file := filepath.Join(dir, "people")
	if err := os.WriteFile(file, []byte(people.String()), 0o600); err != nil {
		return nil, err
	}
	return start(ctx, "node", filepath.Join(dir, "server.mjs"), file)
}
