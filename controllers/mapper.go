// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Mapper returns controller-runtime's mapper of kinds to resources, with a cache of its results. A
// cache that is limited to namespaces looks up on every read whether the kind is namespaced. A
// mapping of a kind with its version does not change while the manager runs; errors are not cached.
func Mapper(config *rest.Config, c *http.Client) (meta.RESTMapper, error) {
	m, err := apiutil.NewDynamicRESTMapper(config, c)
	if err != nil {
		return nil, err
	}
	return &cachingMapper{RESTMapper: m}, nil
}

// cachingMapper caches the results of lookups that name exactly one version.
type cachingMapper struct {
	meta.RESTMapper
	mappings sync.Map // schema.GroupVersionKind → *meta.RESTMapping
}

// RESTMapping implements meta.RESTMapper.
func (c *cachingMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if len(versions) != 1 {
		return c.RESTMapper.RESTMapping(kind, versions...)
	}
	key := kind.WithVersion(versions[0])
	if m, ok := c.mappings.Load(key); ok {
		return m.(*meta.RESTMapping), nil
	}
	m, err := c.RESTMapper.RESTMapping(kind, versions...)
	if err == nil {
		c.mappings.Store(key, m)
	}
	return m, err
}
