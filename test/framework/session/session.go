// SPDX-License-Identifier: Apache-2.0

// Package session replays what identity providers really send.
//
// A session is a JSON file, such as testdata/idp/okta.json: one provider's requests as steps in
// order. A step has a method, a path relative to the SCIM base URL, a body (or raw, for a body that
// is not JSON), headers, and the expected response:
//
//	status         the accepted codes
//	expect         JSON path → literal, or "$any" (present), "$str", "$num"
//	absent         JSON paths that must not be there
//	headersExpect  header → regular expression
//	save           name → JSON path of a value that later steps use as ${name}
//	auth           "bearer" (default), "none", or an Authorization header; one word is a token
//
// A JSON path is a.b, a[0], a[k=v] (the first element whose k is v), a.# (the length; absent counts
// as 0) or "quoted:urn".x. ${tag} is random for each run, so that a session can be replayed again,
// and ${base} is the base URL. A 204 has no body to check.
package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Session is one provider's requests.
type Session struct {
	IdP         string `json:"idp"`
	UserAgent   string `json:"userAgent"`
	ContentType string `json:"contentType"`
	Steps       []Step `json:"steps"`
}

// Step is one request with its expected response.
type Step struct {
	Name          string            `json:"name"`
	Method        string            `json:"method"`
	Path          string            `json:"path"`
	Body          json.RawMessage   `json:"body"`
	Raw           *string           `json:"raw"`
	Headers       map[string]string `json:"headers"`
	Auth          string            `json:"auth"`
	Status        []int             `json:"status"`
	Expect        map[string]any    `json:"expect"`
	Absent        []string          `json:"absent"`
	HeadersExpect map[string]string `json:"headersExpect"`
	Save          map[string]string `json:"save"`
	Level         string            `json:"level"`
	Note          string            `json:"note"`
	Source        string            `json:"source"`
}

// Options change how a session runs. The zero value is valid.
type Options struct {
	Client *http.Client
	// Tag is ${tag}: lower-case letters and digits. Empty: a random one.
	Tag string
	// From and To limit the steps that run, by index; To of 0 is the end.
	From, To int
	// Vars are values for ${name} from an earlier run; this run adds its own. nil if there are
	// none.
	Vars map[string]string
	// Before, if set, is called before each step, so that a test can act in the middle of a
	// session.
	Before func(index int, step Step)
}

// Result is the result of one step.
type Result struct {
	Step     Step
	Status   int
	Header   http.Header
	Body     []byte
	Took     time.Duration
	Problems []string // empty if the response is the expected one
}

// Load reads a session file.
func Load(path string) (*Session, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s Session
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &s, nil
}

// Find returns the path of a session in this repository, by provider: okta, entra.
func Find(idp string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "testdata", "idp", idp+".json")
}

// Run replays the session against a SCIM service. It runs every step even if one fails; the error
// is about the run itself, such as an unreachable service.
func (s *Session) Run(ctx context.Context, baseURL, token string, o Options) ([]Result, error) {
	r := runner{session: s, base: strings.TrimSuffix(baseURL, "/"), token: token, client: o.Client, vars: o.Vars}
	if r.client == nil {
		r.client = &http.Client{Timeout: time.Minute}
	}
	if r.vars == nil {
		r.vars = map[string]string{}
	}
	r.vars["base"] = r.base
	if r.vars["tag"] == "" {
		r.vars["tag"] = o.Tag
	}
	if r.vars["tag"] == "" {
		r.vars["tag"] = newTag()
	}
	end := len(s.Steps)
	if o.To > 0 {
		end = min(o.To, end)
	}
	var results []Result
	for i := o.From; i < end; i++ {
		if o.Before != nil {
			o.Before(i, s.Steps[i])
		}
		result, err := r.step(ctx, s.Steps[i])
		if err != nil {
			return results, fmt.Errorf("step %d, %s: %w", i, s.Steps[i].Name, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// Failures describes every step with an unexpected response.
func Failures(results []Result) []string {
	var out []string
	for i, r := range results {
		if len(r.Problems) > 0 {
			out = append(out, fmt.Sprintf("step %d, %s: %s %s → %d: %s\n  %s", i, r.Step.Name, r.Step.Method, r.Step.Path, r.Status, strings.Join(r.Problems, "; "), r.Body))
		}
	}
	return out
}

func newTag() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

type runner struct {
	session     *Session
	base, token string
	client      *http.Client
	vars        map[string]string
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// fill replaces ${name} with values.
func (r *runner) fill(s string) string {
	return variable.ReplaceAllStringFunc(s, func(v string) string {
		if value, ok := r.vars[v[2:len(v)-1]]; ok {
			return value
		}
		return v
	})
}

func (r *runner) step(ctx context.Context, s Step) (Result, error) {
	request, err := r.request(ctx, s)
	if err != nil {
		return Result{}, err
	}
	start := time.Now()
	response, err := r.client.Do(request)
	if err != nil {
		return Result{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Result{}, err
	}
	result := Result{Step: s, Status: response.StatusCode, Header: response.Header, Body: body, Took: time.Since(start)}
	result.Problems = r.check(s, response, body)
	return result, nil
}

func (r *runner) request(ctx context.Context, s Step) (*http.Request, error) {
	var body io.Reader
	switch {
	case s.Raw != nil:
		body = strings.NewReader(r.fill(*s.Raw))
	case s.Body != nil:
		body = strings.NewReader(r.fill(string(s.Body)))
	}
	request, err := http.NewRequestWithContext(ctx, s.Method, r.base+encode(r.fill(s.Path)), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", r.session.ContentType)
	}
	request.Header.Set("Accept", "application/scim+json, application/json")
	if r.session.UserAgent != "" {
		request.Header.Set("User-Agent", r.session.UserAgent)
	}
	switch {
	case s.Auth == "" || s.Auth == "bearer":
		request.Header.Set("Authorization", "Bearer "+r.token)
	case s.Auth == "none":
	case strings.Contains(s.Auth, " "):
		request.Header.Set("Authorization", s.Auth)
	default:
		request.Header.Set("Authorization", "Bearer "+s.Auth)
	}
	for name, value := range s.Headers {
		request.Header.Set(name, r.fill(value))
	}
	return request, nil
}

// encode escapes characters that a URL can't contain, and keeps the structure of path and query.
func encode(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/?=&-_.~:,%$", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// check compares a response with the expected one, and saves values from it.
func (r *runner) check(s Step, response *http.Response, body []byte) []string {
	var problems []string
	if len(s.Status) > 0 && !slices.Contains(s.Status, response.StatusCode) {
		problems = append(problems, fmt.Sprintf("the status must be one of %v", s.Status))
	}
	for name, pattern := range s.HeadersExpect {
		if ok, err := regexp.MatchString(r.fill(pattern), response.Header.Get(name)); err != nil || !ok {
			problems = append(problems, fmt.Sprintf("the header %s is %q and must match %s", name, response.Header.Get(name), pattern))
		}
	}
	if response.StatusCode == http.StatusNoContent {
		return problems
	}
	var document any
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&document); err != nil && (len(s.Expect) > 0 || len(s.Save) > 0) {
		return append(problems, "the body is not JSON: "+err.Error())
	}
	return append(problems, r.checkBody(s, document)...)
}

func (r *runner) checkBody(s Step, document any) []string {
	var problems []string
	for path, want := range s.Expect {
		have, present := Lookup(document, r.fill(path))
		if problem := r.compare(have, present, want); problem != "" {
			problems = append(problems, path+" "+problem)
		}
	}
	for _, path := range s.Absent {
		if have, present := Lookup(document, r.fill(path)); present {
			problems = append(problems, fmt.Sprintf("%s must be absent and is %v", path, have))
		}
	}
	for name, path := range s.Save {
		have, present := Lookup(document, r.fill(path))
		if !present {
			problems = append(problems, path+" is missing and can't be saved")
			continue
		}
		r.vars[name] = fmt.Sprint(have)
	}
	slices.Sort(problems)
	return problems
}

func (r *runner) compare(have any, present bool, want any) string {
	text, ok := want.(string)
	switch {
	case !present:
		return "is missing"
	case ok && text == "$any":
		return ""
	case ok && text == "$str":
		if s, is := have.(string); !is || s == "" {
			return fmt.Sprintf("must be a string and is %v", have)
		}
		return ""
	case ok && text == "$num":
		if _, is := have.(float64); !is {
			return fmt.Sprintf("must be a number and is %v", have)
		}
		return ""
	case ok:
		want = r.fill(text)
	}
	a, errA := json.Marshal(have)
	b, errB := json.Marshal(want)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		return fmt.Sprintf("must be %s and is %s", b, a)
	}
	return ""
}
