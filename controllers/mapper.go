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

// Mapper makes the manager's mapper of kinds to resources: controller-runtime's, which is asked
// once for each kind. A cache of one namespace asks at each read whether the kind is namespaced,
// which took a ninth of a restart's processor time. Our kinds never change that.
func Mapper(config *rest.Config, c *http.Client) (meta.RESTMapper, error) {
	m, err := apiutil.NewDynamicRESTMapper(config, c)
	return &remembered{RESTMapper: m}, err
}

// remembered keeps the mappings of kinds of one version that were found.
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
