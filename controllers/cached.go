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

// CacheOptions are the manager's cache of one namespace: what the controllers read, and as little
// else as can be, since it contains all users. Objects read from it are not whole and must not be
// written back by Update; patches of what changed are right.
func CacheOptions(namespace string) cache.Options {
	return cache.Options{
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform:  compact,
	}
}

// compact drops what no controller reads of an object that enters the cache, and has texts that
// recur shared.
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

// readAnnotations are those that a controller may read: people's decisions, and the request that is
// being carried out.
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

// only is that annotation alone.
func only(all map[string]string, name string) map[string]string {
	value, ok := all[name]
	if !ok {
		return nil
	}
	return map[string]string{shared(name): value}
}

// exact is a list without room to grow: what was decoded has up to as much again.
func exact[E any](list []E) []E {
	if len(list) == cap(list) {
		return list
	}
	return append(make([]E, 0, len(list)), list...)
}

// compactSpec shares what many people have alike, and what providers repeat of one.
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

// shared is one copy of a text that recurs. It lives as long as an object has it.
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

// same is s, kept once when it is the same as other.
func same(s, other string) string {
	if s == other {
		return other
	}
	return s
}
