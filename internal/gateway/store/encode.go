// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/json"
	"fmt"

	"lightrun.com/scim-operator/internal/gateway/server"
)

// encoded returns v as JSON, with server.BaseMark in place of the base URL. Only meta.location,
// which this package writes, contains the mark. Its last occurrence is replaced, so that the same
// character in a user's data stays.
func encoded(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a resource: %w", err)
	}
	out := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	i := bytes.LastIndex(out, []byte(baseMark))
	if i < 0 {
		return nil, fmt.Errorf("encode a resource: it has no location")
	}
	exact := make([]byte, 0, len(out)-len(baseMark)+1)
	exact = append(exact, out[:i]...)
	exact = append(exact, server.BaseMark)
	return append(exact, out[i+len(baseMark):]...), nil
}

// mergePatch returns the JSON merge patch (RFC 7386) from old to now, both as they marshal; nil if
// they are equal.
func mergePatch(old, now any) (map[string]any, error) {
	a, err := generic(old)
	if err != nil {
		return nil, err
	}
	b, err := generic(now)
	if err != nil {
		return nil, err
	}
	return difference(a, b), nil
}

func generic(v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode a spec: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("read a spec: %w", err)
	}
	return out, nil
}

// difference compares objects field by field; lists are replaced as a whole.
func difference(old, now map[string]any) map[string]any {
	var out map[string]any
	put := func(name string, v any) {
		if out == nil {
			out = map[string]any{}
		}
		out[name] = v
	}
	for name := range old {
		if _, keep := now[name]; !keep {
			put(name, nil)
		}
	}
	for name, v := range now {
		before, existed := old[name]
		a, oldObject := before.(map[string]any)
		b, newObject := v.(map[string]any)
		switch {
		case existed && oldObject && newObject:
			if inner := difference(a, b); inner != nil {
				put(name, inner)
			}
		case !existed || !equalJSON(before, v):
			put(name, v)
		}
	}
	return out
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
