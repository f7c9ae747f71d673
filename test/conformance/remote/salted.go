// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// salted adds the salt to the ids and names of owners, and to the ids of clusters and leaders in
// requests, and removes it from responses.
type salted struct{ salt string }

var owner = regexp.MustCompile(`^(.*/provisioning/(?:users|pools)/[^/]+)(.*)$`)

// RoundTrip implements http.RoundTripper.
func (s *salted) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if path := owner.FindStringSubmatch(r.URL.Path); path != nil {
		r.URL.Path, r.URL.RawPath = path[1]+s.salt+path[2], ""
	}
	if q := r.URL.Query(); q.Get("uid") != "" {
		q.Set("uid", q.Get("uid")+s.salt)
		r.URL.RawQuery = q.Encode()
	}
	if q := r.URL.Query(); q.Get("after") != "" && (strings.HasSuffix(r.URL.Path, "/released-users") || strings.HasSuffix(r.URL.Path, "/released-pools")) {
		q.Set("after", q.Get("after")+s.salt)
		r.URL.RawQuery = q.Encode()
	}
	if leader := r.Header.Get("Operator-Leader"); leader != "" {
		r.Header.Set("Operator-Leader", leader+s.salt)
	}
	if err := s.saltBody(r); err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(text, []byte(s.salt), nil)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	if response.Header.Get("Content-Length") != "" {
		response.Header.Set("Content-Length", strconv.Itoa(len(text)))
	}
	return response, nil
}

// saltBody salts the fields of a JSON body. A body that is no JSON object stays as it is.
func (s *salted) saltBody(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var body map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&body) == nil && !decoder.More() && s.saltFields(body) {
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.GetBody = nil
	return nil
}

// saltFields reports whether it has changed a field.
func (s *salted) saltFields(body map[string]any) (changed bool) {
	for name, value := range body {
		switch v := value.(type) {
		case string:
			if v != "" && (name == "uid" || name == "ownerUid" || name == "ownerName" || name == "cluster") {
				body[name], changed = v+s.salt, true
			}
		case map[string]any:
			changed = s.saltFields(v) || changed
		}
	}
	return changed
}
