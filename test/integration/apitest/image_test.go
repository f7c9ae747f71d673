// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/test/framework/controlplane"
)

// TestImage reads the Dockerfile and repeats its build stage without a container engine: the files
// that it copies exist, its build line produces static programs, and the manifests run these
// programs.
func TestImage(t *testing.T) {
	root := controlplane.Root()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var build []string
	var last, user string
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "COPY" && !strings.HasPrefix(words[1], "--from"):
			for _, source := range words[1 : len(words)-1] {
				if _, err := os.Stat(filepath.Join(root, source)); err != nil {
					t.Errorf("%q copies a file that does not exist: %v", line, err)
				}
			}
		case words[0] == "RUN" && strings.Contains(line, "go build"):
			build = words[1:]
		case words[0] == "FROM":
			last = words[1]
		case words[0] == "USER":
			user = words[1]
		}
	}
	if !strings.Contains(last, "distroless/static") || user != "65532:65532" {
		t.Errorf("the last stage is from %s as user %s; must be distroless static, not root", last, user)
	}
	out := t.TempDir()
	programs := runBuild(t, root, build, out)
	for _, name := range programs {
		file, err := elf.Open(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
			t.Errorf("%s is not static: %v %v", name, libraries, err)
		}
	}
	for _, command := range commands(t, root) {
		if !slices.Contains(programs, strings.TrimPrefix(command, "/")) {
			t.Errorf("a manifest runs %s, the image contains %v", command, programs)
		}
	}
}

// runBuild runs the Dockerfile's build line with the output folder out and returns the names of the
// programs.
func runBuild(t *testing.T, root string, line []string, out string) []string {
	t.Helper()
	i := slices.Index(line, "go")
	if i < 0 {
		t.Fatal("the Dockerfile has no go build line")
	}
	var args, programs []string
	for _, word := range line[i+1:] {
		args = append(args, strings.ReplaceAll(strings.ReplaceAll(word, `"`, ""), "/out/", out+"/"))
		if strings.HasPrefix(word, "./cmd/") {
			programs = append(programs, filepath.Base(word))
		}
	}
	// -ldflags="…" is one word for a shell.
	if j := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-ldflags=") }); j >= 0 {
		if k := slices.Index(args, "-o"); k > j {
			args = slices.Replace(args, j, k, strings.Join(args[j:k], " "))
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, text)
	}
	return programs
}

// commands returns the programs that the manifests run.
func commands(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	for _, file := range []string{"config/manager/deployment.yaml", "config/webhook/container/container.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		var d appsv1.Deployment
		if err := yaml.UnmarshalStrict(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			out = append(out, c.Command[0])
		}
	}
	return out
}
