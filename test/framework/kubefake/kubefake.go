// SPDX-License-Identifier: Apache-2.0

// Package kubefake is controller-runtime's fake client, as strict as the API server: it validates
// each stored object as the API server validates a custom resource, by the schemas, list keys and
// CEL rules of this repository's CRDs. Without this, a test passes with a status that the API
// server refuses as a whole.
//
// It differs from the API server: it sets no defaults, and admission policies and RBAC do not
// apply.
package kubefake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	k8stesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/test/framework/controlplane"
)

// New returns a fake client with these objects. It refuses objects and writes that the API server
// would refuse.
func New(tb testing.TB, scheme *runtime.Scheme, objects ...client.Object) client.WithWatch {
	tb.Helper()
	kinds, err := load()
	if err != nil {
		tb.Fatalf("load the CRDs: %v", err)
	}
	var withStatus []client.Object
	for gvk, k := range kinds {
		if !k.status {
			continue
		}
		o, err := scheme.New(gvk)
		if err != nil {
			tb.Fatalf("%s has a CRD and no Go type: %v", gvk, err)
		}
		withStatus = append(withStatus, o.(client.Object))
	}
	// The default tracker also computes managed fields, which takes half of the time.
	plain := k8stesting.NewObjectTracker(scheme, serializer.NewCodecFactory(scheme).UniversalDecoder())
	return fake.NewClientBuilder().WithScheme(scheme).WithObjectTracker(&tracker{ObjectTracker: plain, scheme: scheme, kinds: kinds}).
		WithStatusSubresource(withStatus...).WithObjects(objects...).Build()
}

// SCIMID returns a SCIM id for a name of at most ten bytes. Ids sort like their names.
func SCIMID(name string) string {
	var raw [10]byte
	if copy(raw[:], name) < len(name) {
		panic(fmt.Sprintf("kubefake.SCIMID: %q is longer than ten bytes", name))
	}
	return fmt.Sprintf("%x-0000-4000-8000-%x", raw[:4], raw[4:])
}

// kind is a CRD that can validate objects.
type kind struct {
	status     bool // has a status subresource
	namespaced bool
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

// load reads the CRDs once per test process.
var load = sync.OnceValues(func() (map[schema.GroupVersionKind]*kind, error) {
	files, err := filepath.Glob(filepath.Join(controlplane.Root(), "config", "crd", "bases", "*.yaml"))
	if err != nil {
		return nil, err
	}
	kinds := map[schema.GroupVersionKind]*kind{}
	for _, file := range files {
		if err := read(file, kinds); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	return kinds, nil
})

func read(file string, into map[schema.GroupVersionKind]*kind) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		return err
	}
	for _, v := range crd.Spec.Versions {
		var props apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &props, nil); err != nil {
			return err
		}
		structural, err := structuralschema.NewStructural(&props)
		if err != nil {
			return err
		}
		validator, _, err := validation.NewSchemaValidator(&props)
		if err != nil {
			return err
		}
		into[schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}] = &kind{
			status:     v.Subresources != nil && v.Subresources.Status != nil,
			namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
			structural: structural,
			schema:     validator,
			rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
		}
	}
	return nil
}

// tracker refuses what the API server refuses. The fake client passes it complete objects, also for
// a patch or a write of the status.
type tracker struct {
	k8stesting.ObjectTracker
	scheme *runtime.Scheme
	kinds  map[schema.GroupVersionKind]*kind
}

func (t *tracker) Add(o runtime.Object) error {
	if err := t.validate(o, nil); err != nil {
		return err
	}
	return t.ObjectTracker.Add(o)
}

func (t *tracker) Create(gvr schema.GroupVersionResource, o runtime.Object, ns string, opts ...metav1.CreateOptions) error {
	if err := t.validate(o, nil); err != nil {
		return err
	}
	return t.ObjectTracker.Create(gvr, o, ns, opts...)
}

func (t *tracker) Update(gvr schema.GroupVersionResource, o runtime.Object, ns string, opts ...metav1.UpdateOptions) error {
	if err := t.validateUpdate(gvr, o, ns); err != nil {
		return err
	}
	return t.ObjectTracker.Update(gvr, o, ns, opts...)
}

func (t *tracker) Patch(gvr schema.GroupVersionResource, o runtime.Object, ns string, opts ...metav1.PatchOptions) error {
	if err := t.validateUpdate(gvr, o, ns); err != nil {
		return err
	}
	return t.ObjectTracker.Patch(gvr, o, ns, opts...)
}

// Apply is not supported: only the tracker below knows its result.
func (t *tracker) Apply(schema.GroupVersionResource, runtime.Object, string, ...metav1.PatchOptions) error {
	return apierrors.NewBadRequest("kubefake does not support server-side apply")
}

func (t *tracker) validateUpdate(gvr schema.GroupVersionResource, o runtime.Object, ns string) error {
	accessor, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	old, err := t.Get(gvr, ns, accessor.GetName())
	if err != nil {
		return err
	}
	return t.validate(o, old)
}

// validate returns the API server's error; old is nil for a new object. Objects of other groups,
// such as Secrets, are accepted.
func (t *tracker) validate(o, old runtime.Object) error {
	gvk, err := apiutil.GVKForObject(o, t.scheme)
	if err != nil {
		return err
	}
	k, ok := t.kinds[gvk]
	if !ok {
		return nil
	}
	accessor, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	now, err := content(o, gvk, k)
	if err != nil {
		return err
	}
	var before map[string]any
	if old != nil {
		if before, err = content(old, gvk, k); err != nil {
			return err
		}
	}
	errs := apivalidation.ValidateObjectMetaAccessor(accessor, k.namespaced, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if errs = append(errs, k.validate(now, before)...); len(errs) > 0 {
		return apierrors.NewInvalid(gvk.GroupKind(), accessor.GetName(), errs)
	}
	return nil
}

func (k *kind) validate(now, before map[string]any) field.ErrorList {
	var errs field.ErrorList
	for _, path := range pruning.PruneWithOptions(now, k.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		errs = append(errs, field.Invalid(field.NewPath(path), nil, "the CRD has no such field; the API server would drop it"))
	}
	if before == nil {
		errs = append(errs, validation.ValidateCustomResource(nil, now, k.schema)...)
	} else {
		errs = append(errs, validation.ValidateCustomResourceUpdate(nil, now, before, k.schema)...)
	}
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, now)...)
	if k.rules == nil || len(errs) > 0 { // like the API server: rules apply only to valid objects
		return errs
	}
	var old any
	if before != nil {
		old = before
	}
	broken, _ := k.rules.Validate(context.Background(), nil, k.structural, now, old, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

// content returns the object as the API server sees it, with defaults.
func content(o runtime.Object, gvk schema.GroupVersionKind, k *kind) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	fields["apiVersion"], fields["kind"] = gvk.GroupVersion().String(), gvk.Kind
	defaulting.Default(fields, k.structural)
	return fields, nil
}
