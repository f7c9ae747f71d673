// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// countingMapper counts its lookups. It knows only the kind Known.
type countingMapper struct {
	meta.RESTMapper
	lookups int
}

func (c *countingMapper) RESTMapping(kind schema.GroupKind, _ ...string) (*meta.RESTMapping, error) {
	c.lookups++
	if kind.Kind != "Known" {
		return nil, errors.New("unknown")
	}
	return &meta.RESTMapping{Scope: meta.RESTScopeNamespace}, nil
}

func TestCachingMapper(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		kind     string
		versions []string
		want     int
	}{
		"Known":      {reason: "A mapping of a known kind is looked up once.", kind: "Known", versions: []string{"v1"}, want: 1},
		"Unknown":    {reason: "An unknown kind is looked up each time: it may be installed later.", kind: "Unknown", versions: []string{"v1"}, want: 2},
		"AnyVersion": {reason: "A lookup without a version is made each time: the preferred version may change.", kind: "Known", want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			c := &countingMapper{}
			m := &cachingMapper{RESTMapper: c}
			for range 2 {
				got, err := m.RESTMapping(schema.GroupKind{Kind: tc.kind}, tc.versions...)
				if (err == nil) != (got != nil) {
					t.Errorf("%v, %v", got, err)
				}
			}
			if c.lookups != tc.want {
				t.Errorf("%d lookups, want %d: %s", c.lookups, tc.want, tc.reason)
			}
		})
	}
}
