package gate

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/internal/portal"
)

// Held is the mark of a removal that the guard holds at o; nil: it holds nothing.
func Held(what portal.Removal, o client.Object) *portal.Mark {
	if what == "" {
		return nil
	}
	return &portal.Mark{What: what, State: portal.MarkHeld, At: o.GetName()}
}
