// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "lightrun.com/scim-operator/"

var update = flag.Bool("update", false, "write the floor plan into ARCHITECTURE.md")

// pkg is what `go list` says about a package.
type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	out := goOutput(t, append([]string{"list", "-e", "-json=ImportPath,Dir,Imports"}, args...)...)
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// within reports whether a path is the prefix or below it.
func within(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

// free are the parts that no room describes: programs only wire, and tests and scripts may use
// every room.
var free = []string{"cmd", "test", "hack"}

func isFree(path string) bool {
	return slices.ContainsFunc(free, func(f string) bool { return within(path, f) })
}

// roomOf returns the room with the longest path that contains the package.
func roomOf(path string) *room {
	var best *room
	for i := range house {
		if within(path, house[i].path) && (best == nil || len(house[i].path) > len(best.path)) {
			best = &house[i]
		}
	}
	return best
}

// check returns every import that the table does not allow, as "importer -> imported".
func check(packages []pkg) []string {
	var out []string
	for _, p := range packages {
		from := strings.TrimPrefix(p.ImportPath, module)
		if i := strings.Index(from, " ["); i >= 0 {
			from = from[:i]
		}
		for _, imported := range p.Imports {
			if !allowed(from, imported) {
				out = append(out, from+" -> "+strings.TrimPrefix(imported, module))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func allowed(from, imported string) bool {
	to, inside := strings.CutPrefix(imported, module)
	if inside && (within(to, "cmd") || within(to, "test") && !isFree(from) && from != conformance) {
		return false // no package imports a program; only tests and scripts import the test house
	}
	if inside && within(to, "hack") && !within(from, "hack") {
		return false
	}
	if within(from, "cmd") {
		return allowedToProgram(from, to, inside)
	}
	if isFree(from) {
		return true
	}
	r := roomOf(from)
	if r == nil {
		return false // every package has a room
	}
	if inside {
		other := roomOf(to)
		return other != nil && (other == r || slices.Contains(r.rooms, other.path))
	}
	if slices.Contains(effects, imported) {
		return slices.Contains(r.effects, imported)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(r.outside, func(prefix string) bool { return within(imported, prefix) })
}

// programs are the systems that each program may wire.
var programs = map[string][]string{
	"cmd/portal":       {"internal/portal", "internal/kernel/version"},
	"cmd/manager":      {"api", "controllers", "internal/kernel", "internal/operator"},
	"cmd/scim-webhook": {"api", "internal/kernel", "internal/gateway"},
	"cmd/kubectl-scim": {"api", "internal/operator/preview", "internal/kernel", "internal/operator"},

	conformance: {"test/conformance/contract", "test/conformance/remote"},
}

// conformance is the one program that runs tests: it may import the test house.
const conformance = "cmd/portal-conformance"

func allowedToProgram(from, to string, inside bool) bool {
	return !inside || slices.ContainsFunc(programs[from], func(system string) bool { return within(to, system) })
}

func TestImports(t *testing.T) {
	packages := list(t, "./...")
	if violations := check(packages); len(violations) > 0 {
		t.Errorf("imports that rooms_test.go does not allow:\n%s", strings.Join(violations, "\n"))
	}
	rooms := map[string]bool{}
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, module)
		if r := roomOf(path); r != nil {
			rooms[r.path] = true
		} else if !isFree(path) {
			t.Errorf("%s has no room in rooms_test.go", path)
		}
	}
	for _, r := range house {
		if !rooms[r.path] {
			t.Errorf("the room %s has no package", r.path)
		}
		for _, other := range r.rooms {
			if !slices.ContainsFunc(house, func(o room) bool { return o.path == other }) {
				t.Errorf("%s may import %s, which is not a room", r.path, other)
			}
		}
	}
}

// TestControllersAreSeparate: what several controllers use is in a room of internal/operator.
func TestControllersAreSeparate(t *testing.T) {
	isController := func(path string) bool { return strings.HasPrefix(path, "controllers/") }
	for _, r := range house {
		if i := slices.IndexFunc(r.rooms, isController); isController(r.path) && i >= 0 {
			t.Errorf("the table lets %s import %s: move what they share to internal/operator", r.path, r.rooms[i])
		}
	}
}

// TestLinked checks what the programs link, however far away the import is.
func TestLinked(t *testing.T) {
	for program, forbidden := range map[string][]string{
		"cmd/portal":       {"k8s.io", "sigs.k8s.io", module + "controllers", module + "internal/gateway", module + "internal/operator", module + "internal/scim"},
		"cmd/manager":      {module + "internal/gateway", module + "internal/portal"},
		"cmd/scim-webhook": {module + "internal/portal", module + "internal/operator", module + "controllers"},
		"cmd/kubectl-scim": {module + "internal/portal", module + "internal/gateway"},
	} {
		t.Run(program, func(t *testing.T) {
			for _, p := range list(t, "-deps", "./"+program) {
				if slices.ContainsFunc(forbidden, func(prefix string) bool { return within(p.ImportPath, strings.TrimSuffix(prefix, "/")) }) {
					t.Errorf("%s links %s", program, p.ImportPath)
				}
			}
		})
	}
}

// TestTestOnly: ADR 25 lists the modules that go.mod requires for tests. No program links them, and
// every other direct requirement is linked by a program.
func TestTestOnly(t *testing.T) {
	var file struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(goOutput(t, "mod", "edit", "-json"), &file); err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(goOutput(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/kubectl-scim", "./cmd/manager", "./cmd/portal", "./cmd/scim-webhook")))
	var testOnly []string
	for _, r := range file.Require {
		if !r.Indirect && !slices.Contains(linked, r.Path) {
			testOnly = append(testOnly, r.Path)
		}
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "adr", "0025-test-only-libraries.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	slices.Sort(testOnly)
	if !slices.Equal(listed, testOnly) {
		t.Errorf("go.mod requires for tests alone\n%v\nand ADR 25 lists\n%v", testOnly, listed)
	}
}

// goOutput runs the go command at the root of the repository.
func goOutput(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", args[0], err, stderr.String())
	}
	return out
}

// TestEveryForbiddenImportIsRefused adds to each room a file that imports every room, program and
// outside package that the table does not allow it, and expects each of them to be refused.
func TestEveryForbiddenImportIsRefused(t *testing.T) {
	packages := list(t, "./...")
	first := map[string]pkg{} // of each room
	targets := []string{"database/sql", "net", "net/http", "os/exec", "k8s.io/client-go/kubernetes", "sigs.k8s.io/controller-runtime", "modernc.org/sqlite", "github.com/spf13/cobra"}
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, module)
		if r := roomOf(path); r != nil && first[r.path].ImportPath == "" {
			first[r.path] = p
			targets = append(targets, p.ImportPath)
		}
	}
	for program := range programs {
		targets = append(targets, module+program)
	}
	targets = append(targets, module+"test/framework/kubefake", module+"hack/run")
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	var want []string
	for _, r := range house {
		p := first[r.path]
		from := strings.TrimPrefix(p.ImportPath, module)
		var imports strings.Builder
		for _, target := range targets {
			if target != p.ImportPath && !slices.Contains(r.rooms, strings.TrimPrefix(target, module)) && !allowed(from, target) {
				fmt.Fprintf(&imports, "import _ %q\n", target)
				want = append(want, from+" -> "+strings.TrimPrefix(target, module))
			}
		}
		file := filepath.Join(t.TempDir(), "injected.go")
		source := fmt.Sprintf("package %s\n\n%s", packageName(t, p), imports.String())
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(p.Dir, "injected.go")] = file
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := check(list(t, "-overlay", file, "./..."))
	if pairs := len(house) * (len(house) - 1); len(want) < pairs/2 {
		t.Fatalf("only %d imports were tried between %d rooms", len(want), len(house))
	}
	for _, w := range want {
		if !slices.Contains(refused, w) {
			t.Errorf("%s was not refused", w)
		}
	}
	t.Logf("%d forbidden imports tried between %d rooms", len(want), len(house))
}

// packageName returns the name of the package as its files declare it.
func packageName(t *testing.T, p pkg) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Name}}", p.ImportPath)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

const begin, end = "<!-- floor plan: written by make floor-plan -->\n", "<!-- end of the floor plan -->"

// plan returns the table as Markdown.
func plan() string {
	var b strings.Builder
	b.WriteString("| room | what it is | may import |\n|---|---|---|\n")
	for _, r := range house {
		rooms := slices.Clone(r.rooms)
		slices.Sort(rooms)
		rooms = slices.Compact(rooms)
		for i, other := range rooms {
			rooms[i] = "`" + strings.TrimPrefix(other, "internal/") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.path, r.about, strings.Join(rooms, " "))
	}
	return b.String()
}

// TestFloorPlan holds ARCHITECTURE.md to the table.
func TestFloorPlan(t *testing.T) {
	file := filepath.Join("..", "..", "ARCHITECTURE.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	printed, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("ARCHITECTURE.md needs the lines %q and %q", begin, end)
	}
	if printed == plan() {
		return
	}
	if !*update {
		t.Fatal("the floor plan in ARCHITECTURE.md is not the one of rooms_test.go; run make floor-plan")
	}
	if err := os.WriteFile(file, []byte(before+begin+plan()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
