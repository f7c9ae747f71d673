// SPDX-License-Identifier: Apache-2.0

package portalapi

import "context"

type decidedBy struct{}

// WithDecidedBy returns ctx for a write that a person decided about. The portal's audit names the
// person. An empty name changes nothing.
func WithDecidedBy(ctx context.Context, name string) context.Context {
	if name == "" {
		return ctx
	}
	return context.WithValue(ctx, decidedBy{}, name)
}

// DecidedBy returns the person who decided about a write, and "" if no person did.
func DecidedBy(ctx context.Context) string {
	name, _ := ctx.Value(decidedBy{}).(string)
	return name
}
