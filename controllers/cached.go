// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// CacheOptions returns the options of the manager's cache of one namespace. Since the cache
// contains all users, it keeps only the fields that the controllers read. Therefore an object from
// the cache must not be written back by Update; write a patch of the changes.
func CacheOptions(namespace string) cache.Options {
	return cache.Options{
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform:  compact,
	}
}

// compact removes the fields that no controller reads from an object before it is cached, and
// shares equal strings.
func compact(in any) (any, error) {
	o, ok := in.(client.Object)
	if !ok {
		return in, nil
	}
	o.SetManagedFields(nil)
	switch o := in.(type) {
	case *v1alpha1.ScimUser:
		compactMeta(&o.TypeMeta, &o.ObjectMeta)
		o.Annotations = readAnnotations(o)
		compactSpec(&o.Spec)
		compactStatus(o)
	case *v1alpha1.ScimGroupSlice:
		compactMeta(&o.TypeMeta, &o.ObjectMeta)
		o.Annotations = only(o.Annotations, v1alpha1.AnnotationRequest)
		o.Labels = map[string]string{shared(v1alpha1.LabelGroup): shared(o.Labels[v1alpha1.LabelGroup])}
	case *v1alpha1.NameClaim:
		compactMeta(&o.TypeMeta, &o.ObjectMeta)
		o.Annotations, o.Labels = nil, nil
		o.Spec.Type = v1alpha1.ClaimType(shared(string(o.Spec.Type)))
	}
	return in, nil
}

func compactMeta(t *metav1.TypeMeta, m *metav1.ObjectMeta) {
	t.Kind, t.APIVersion = shared(t.Kind), shared(t.APIVersion)
	m.Namespace = shared(m.Namespace)
	m.Finalizers = exact(m.Finalizers)
	shareAll(m.Finalizers)
}

// readAnnotations returns the annotations that a controller may read: decisions, and the request
// that wrote the object.
func readAnnotations(u *v1alpha1.ScimUser) map[string]string {
	var out map[string]string
	settled := !u.Spec.Deleted && pass.Settled(u, u.Status.Conditions)
	for _, name := range []string{v1alpha1.AnnotationRelease, v1alpha1.AnnotationDrop, v1alpha1.AnnotationAcceptBackup, v1alpha1.AnnotationDecidedBy, v1alpha1.AnnotationRequest, v1alpha1.AnnotationTrace} {
		value, ok := u.Annotations[name]
		if !ok || settled && (name == v1alpha1.AnnotationRequest || name == v1alpha1.AnnotationTrace) {
			continue
		}
		if out == nil {
			out = make(map[string]string, 1)
		}
		out[shared(name)] = value
	}
	return out
}

// only returns a map with only this annotation, or nil if it is not set.
func only(all map[string]string, name string) map[string]string {
	value, ok := all[name]
	if !ok {
		return nil
	}
	return map[string]string{shared(name): value}
}

// exact returns a copy of the list without unused capacity, which can be half of a decoded list.
func exact[E any](list []E) []E {
	if len(list) == cap(list) {
		return list
	}
	return append(make([]E, 0, len(list)), list...)
}

// compactSpec shares strings that many users have in common, and strings that a provider repeats in
// one user.
func compactSpec(s *v1alpha1.ScimUserSpec) {
	s.Emails = exact(s.Emails)
	for _, text := range []*string{&s.Title, &s.UserType, &s.PreferredLanguage, &s.Locale, &s.Timezone, &s.CostCenter, &s.Organization, &s.Division, &s.Department} {
		*text = shared(*text)
	}
	for i := range s.Emails {
		e := &s.Emails[i]
		e.Type, e.Value = shared(e.Type), same(e.Value, s.UserName)
	}
}

func compactStatus(u *v1alpha1.ScimUser) {
	s := &u.Status
	s.UserName = same(s.UserName, u.Spec.UserName)
	s.Pools, s.Roles, s.Conditions = exact(s.Pools), exact(s.Roles), exact(s.Conditions)
	s.PoolNames, s.RoleNames = shared(s.PoolNames), shared(s.RoleNames)
	for i := range s.Pools {
		p := &s.Pools[i]
		p.Name, p.Source = shared(p.Name), v1alpha1.PoolSource(shared(string(p.Source)))
	}
	for i := range s.Roles {
		r := &s.Roles[i]
		r.Name, r.From = shared(r.Name), exact(r.From)
		shareAll(r.From)
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		c.Type, c.Status, c.Reason, c.Message = shared(c.Type), metav1.ConditionStatus(shared(string(c.Status))), shared(c.Reason), shared(c.Message)
	}
}

// shared returns one shared copy of a string. The copy is freed when no object uses it.
func shared(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}

func shareAll(texts []string) {
	for i := range texts {
		texts[i] = shared(texts[i])
	}
}

// same returns other if it equals s, so that only one copy is kept, and s otherwise.
func same(s, other string) string {
	if s == other {
		return other
	}
	return s
}
