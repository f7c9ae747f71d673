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
// client cache of one namespace looks up at each read whether the kind is namespaced. Without this
// cache the lookups took a ninth of a restart's processor time. Our kinds never change their scope.
func Mapper(config *rest.Config, c *http.Client) (meta.RESTMapper, error) {
	m, err := apiutil.NewDynamicRESTMapper(config, c)
	return &remembered{RESTMapper: m}, err
}

// remembered caches the mappings of kinds with one version.
type remembered struct {
	meta.RESTMapper
	found sync.Map // schema.GroupVersionKind → *meta.RESTMapping
}

// RESTMapping implements meta.RESTMapper.
func (r *remembered) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if len(versions) != 1 {
		return r.RESTMapper.RESTMapping(kind, versions...)
	}
	key := kind.WithVersion(versions[0])
	if m, ok := r.found.Load(key); ok {
		return m.(*meta.RESTMapping), nil
	}
	m, err := r.RESTMapper.RESTMapping(kind, versions...)
	if err == nil {
		r.found.Store(key, m)
	}
	return m, err
}
