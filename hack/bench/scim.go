package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// scim is a SCIM server under measurement, ours or another.
type scim struct {
	name, base, token string
	http              *http.Client
}

func newSCIM(name, base, token string, workers int) *scim {
	return &scim{
		name: name, base: base, token: token,
		http: &http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}},
	}
}

// send makes one request, reads the whole answer, and takes everything but a 2xx for an error.
func (s *scim) send(ctx context.Context, method, path string, content []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/scim+json")
	answer, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return nil, fmt.Errorf("%s: %s %.100s: %s: %.300s", s.name, method, path, answer.Status, text)
	}
	return text, nil
}

func listPath(start int) string { return fmt.Sprintf("/Users?startIndex=%d&count=100", start) }

func (s *scim) list(ctx context.Context, start int) error {
	text, err := s.send(ctx, http.MethodGet, listPath(start), nil)
	if err == nil && len(text) < 10_000 {
		err = fmt.Errorf("%s: a page of %d bytes is no page of 100", s.name, len(text))
	}
	return err
}

func (s *scim) project(ctx context.Context, start int) error {
	_, err := s.send(ctx, http.MethodGet, listPath(start)+"&attributes=userName,active", nil)
	return err
}

func (s *scim) get(ctx context.Context, i int) error {
	_, err := s.send(ctx, http.MethodGet, "/Users/"+personID(i), nil)
	return err
}

func equalPath(i int) string {
	return "/Users?filter=" + url.QueryEscape(fmt.Sprintf("userName eq %q", personName(i)))
}

func (s *scim) equal(ctx context.Context, i int) error {
	text, err := s.send(ctx, http.MethodGet, equalPath(i), nil)
	if err == nil && !bytes.Contains(text, []byte(personID(i))) {
		err = fmt.Errorf("%s: userName eq %q found %.200s", s.name, personName(i), text)
	}
	return err
}

func (s *scim) post(ctx context.Context, name string) error {
	_, err := s.send(ctx, http.MethodPost, "/Users", body(person(name)))
	return err
}

func (s *scim) patchActive(ctx context.Context, i int, active bool) error {
	_, err := s.send(ctx, http.MethodPatch, "/Users/"+personID(i), patchBody("replace", "active", active))
	return err
}

// group makes a group with these members and returns its id.
func (s *scim) group(ctx context.Context, name string, members []string) (string, error) {
	text, err := s.send(ctx, http.MethodPost, "/Groups?excludedAttributes=members", body(map[string]any{
		"schemas": []string{schemaGroup}, "displayName": name, "members": memberValues(members),
	}))
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	return made.ID, json.Unmarshal(text, &made)
}

// patchGroup puts people into a group of this side, or takes them out.
func (s *scim) patchGroup(ctx context.Context, id string, members []string, in bool) error {
	op := "remove"
	if in {
		op = "add"
	}
	_, err := s.send(ctx, http.MethodPatch, "/Groups/"+id, patchBody(op, "members", memberValues(members)))
	return err
}

// holds checks that the server has n people.
func (s *scim) holds(ctx context.Context, n int) error {
	text, err := s.send(ctx, http.MethodGet, "/Users?count=1", nil)
	if err == nil && !strings.Contains(string(text), fmt.Sprintf(`"totalResults":%d,`, n)) {
		err = fmt.Errorf("%s does not hold %d people: %.200s", s.name, n, text)
	}
	return err
}
