// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// asked counts how often it is asked, and knows the kind Known.
type asked struct {
	meta.RESTMapper
	times int
}

func (a *asked) RESTMapping(kind schema.GroupKind, _ ...string) (*meta.RESTMapping, error) {
	a.times++
	if kind.Kind != "Known" {
		return nil, errors.New("unknown")
	}
	return &meta.RESTMapping{Scope: meta.RESTScopeNamespace}, nil
}

func TestAKindIsAskedForOnce(t *testing.T) {
	for name, c := range map[string]struct {
		reason   string
		kind     string
		versions []string
		want     int
	}{
		"Known":      {reason: "A kind stays what it is.", kind: "Known", versions: []string{"v1"}, want: 1},
		"Unknown":    {reason: "A kind that is installed later must be found then.", kind: "Unknown", versions: []string{"v1"}, want: 2},
		"AnyVersion": {reason: "Which version is preferred may change.", kind: "Known", want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asked{}
			m := &remembered{RESTMapper: a}
			for range 2 {
				got, err := m.RESTMapping(schema.GroupKind{Kind: c.kind}, c.versions...)
				if (err == nil) != (got != nil) {
					t.Errorf("%v, %v", got, err)
				}
			}
			if a.times != c.want {
				t.Errorf("asked %d times, want %d: %s", a.times, c.want, c.reason)
			}
		})
	}
}
