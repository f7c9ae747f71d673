// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/scim"
)

const (
	// cleanupTime limits the cleanup after a failed request. The client may have disconnected by
	// then.
	cleanupTime = 10 * time.Second
	// maxUser limits a user's JSON in bytes, so that 100,000 of them fit into memory.
	maxUser = 32 << 10
	// maxID is the maximum length of an id that is sent to the API server.
	maxID = 253
)

func errBusy(what string) error {
	return fmt.Errorf("%s: others kept changing it", what)
}

// read fetches the current object from the API server. An object with a tombstone, or one that is
// being deleted, is not found.
func (d *Directory) read(ctx context.Context, id string, into client.Object) (found bool, err error) {
	if !objectName(id) {
		return false, nil
	}
	err = d.client.Get(ctx, types.NamespacedName{Namespace: d.namespace, Name: id}, into)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read %s: %w", id, err)
	}
	return !claims.Gone(into), nil
}

// objectName reports whether id is a valid object name. For any other id the response is 404
// without a request to the API server.
func objectName(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	return id[0] != '.' && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// patch sends a merge patch and reads the result into o.
func (d *Directory) patch(ctx context.Context, o client.Object, body map[string]any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode a patch: %w", err)
	}
	return d.send(ctx, o, data)
}

// send is patch for an encoded body.
func (d *Directory) send(ctx context.Context, o client.Object, data []byte) error {
	return d.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, data), client.FieldOwner(v1alpha1.FieldManagerWebhook))
}

// next returns the revision after old: the time in Unix milliseconds, or old + 1 if that is higher.
func (d *Directory) next(old int64) int64 { return max(old+1, d.now().UnixMilli()) }

// stamped returns a patch of the spec that applies only to the resourceVersion of o. It also sets
// the next revision, the time of the change and the request id.
func (d *Directory) stamped(ctx context.Context, o client.Object, old int64, spec map[string]any) map[string]any {
	revision := d.next(old)
	spec["revision"] = revision
	annotations := map[string]any{
		AnnotationLastModified:     d.now().UTC().Format(timeFormat),
		v1alpha1.AnnotationTrace:   nil, // remove the trace of an earlier request
		v1alpha1.AnnotationRequest: nil,
	}
	for name, value := range request(ctx, revision) {
		annotations[name] = value
	}
	metadata := map[string]any{"resourceVersion": o.GetResourceVersion(), "annotations": annotations}
	return map[string]any{"metadata": metadata, "spec": spec}
}

// fresh returns the metadata of a new object that the provider's request creates.
func (d *Directory) fresh(ctx context.Context, revision int64) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: d.namespace, Name: uuid.NewString(), Annotations: request(ctx, revision)}
}

// request returns the annotations that identify the request that writes this revision.
func request(ctx context.Context, revision int64) map[string]string {
	out := map[string]string{}
	if id := requestid.From(ctx); id != "" {
		out[v1alpha1.AnnotationRequest] = requestid.Stamp(revision, id)
	}
	if parent := tracing.Parent(ctx); parent != "" {
		out[v1alpha1.AnnotationTrace] = parent
	}
	return out
}

// create writes a new object.
func (d *Directory) create(ctx context.Context, o client.Object) error {
	return d.client.Create(ctx, o, client.FieldOwner(v1alpha1.FieldManagerWebhook))
}

// refused turns the API server's rejection of an object's content into a client error. Other errors
// are returned unchanged.
func refused(err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case apierrors.IsInvalid(err) && errors.As(err, &status):
		return scim.BadRequest(scim.InvalidValue, "The directory doesn't take this: %s", causes(status.Status()))
	case apierrors.IsRequestEntityTooLargeError(err):
		return scim.Failure(http.StatusRequestEntityTooLarge, "The resource is too large to be stored.")
	}
	return err
}

func causes(s metav1.Status) string {
	if s.Details == nil || len(s.Details.Causes) == 0 {
		return s.Message
	}
	text := ""
	for i, c := range s.Details.Causes {
		if i == 5 {
			return text + fmt.Sprintf(" and %d more.", len(s.Details.Causes)-i)
		}
		text += c.Field + ": " + c.Message + ". "
	}
	return text
}
