// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// record is a kind that contains what the identity provider says.
type record struct {
	kind     string
	suffix   string                // of the objects' names
	spec     func() map[string]any // of an object as the provider created it
	change   map[string]any        // fields of spec that the provider changes
	suspends bool                  // people may set spec.suspend
	decides  bool                  // scim-decider decides about it
	readers  string                // subjects that read it, in addition to those that read every kind
	puts     string                // the programs whose Roles you need the verb update
	creates  string                // programs that create it, in addition to the webhook
	clears   string                // programs that delete many in one request
	status   string                // a merge patch of status; empty when the kind has none
}

func records() []record {
	return []record{
		{kind: "ScimUser", change: map[string]any{"active": true}, suspends: true, decides: true, status: `{"status":{"account":"1"}}`,
			spec: func() map[string]any { return map[string]any{"userName": "ada", "displayName": "Ada", "active": false} }},
		{kind: "ScimGroup", readers: "pool-editor pool-granter", change: map[string]any{"externalId": "x"}, decides: true,
			status: `{"status":{"memberCount":7}}`,
			spec:   func() map[string]any { return map[string]any{"displayName": "Payments"} }},
		{kind: "ScimGroupSlice", suffix: "-0000", change: map[string]any{"round": int64(7)}, puts: programs, creates: "manager", clears: programs,
			spec: func() map[string]any {
				return map[string]any{"bits": int64(0), "epoch": int64(1), "round": int64(1), "revision": int64(1)}
			}},
	}
}

// patch returns a merge patch of the provider's change and of more fields.
func (r record) patch(more map[string]any) string {
	text, err := json.Marshal(map[string]any{"spec": r.changed(map[string]any{}, more)})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// changed returns spec with the provider's change and more fields.
func (r record) changed(spec, more map[string]any) map[string]any {
	maps.Copy(spec, r.change)
	maps.Copy(spec, more)
	return spec
}

const noRestore = "you need the verb restore on .* and an open restore window|the restore window is not open for this user"

// editors have all of Kubernetes' verbs on every kind; some have our own verbs too.
const editors = wildcards + " weak stranger"

func (r record) operations() []operation {
	restorers := "restorer restorer-closed restorer-foreign"
	decider := ""
	if r.decides {
		decider = "decider"
	}
	plain, decided, created := plainUser+r.suffix, decidedUser+r.suffix, newUser+r.suffix
	patchers := who(programs, editors, "patcher collector", decider, restorers)
	provider := who(programs, restoring, "collector")
	table := []operation{
		{"Read", "Only subjects that need personal data can read it.", read(r.kind, plain),
			who(programs, editors, clean, restorers, "patcher viewer decider", r.readers), ""},
		{"Create", "Users and groups come through SCIM; kubectl cannot create one.", create(r.kind, created, r.spec(), nil),
			who("webhook operator", r.creates, restoring), noRestore},
		{"CreateWithAnnotations", "A restored object has the annotations of the export.",
			create(r.kind, created, r.spec(), map[string]string{
				v1alpha1.AnnotationRequest: "1/x", v1alpha1.AnnotationDrop: "1", v1alpha1.AnnotationDecidedBy: person("colleague"),
			}), who("operator", r.creates, restoring), noRestore + "|they are the operator's own|may not decide"},
		{"Change", "A self-healing GitOps tool must not undo a deactivation.", change(r.kind, plain, r.patch(nil)), provider, noRestore},
		{"Replace", "The same rules apply to a PUT.", replace(r.kind, plain, r.changed(r.spec(), nil)), who(restoring, r.puts, "collector"), noRestore},
		{"Delete", "Users and groups are deleted through SCIM.", remove(r.kind, plain), who(programs, restoring, clean), noRestore},
		{"DeleteCollection", "kubectl delete --all is many deletions. A namespace that terminates deletes every object.",
			removeAll(r.kind), who("wildcard-in-window namespace-controller", r.clears), noRestore},
		{"Labels", "Labels need only the right to write the object.", change(r.kind, plain, labels), patchers, ""},
		{"Finalizers", "People must be able to remove the finalizer of a stuck object without another verb.", change(r.kind, plain, finalizers), patchers, ""},
		{"OtherAnnotation", "The policies do not protect annotations of others.", change(r.kind, plain, otherAnnotation), patchers, ""},
		{"OwnerReferences", "The garbage collector deletes an object whose owner does not exist.", change(r.kind, plain, ownerReferences),
			who("manager operator collector", restoring), noRestore + "|may not set ownerReferences"},
		{"RequestID", "It connects the portal's audit with the provider's request, so only the operator writes it.", change(r.kind, plain, requestID),
			provider, "may not write the annotations " + v1alpha1.AnnotationRequest + " of .* they are the operator's own"},
		{"AnnotationOfOurs", "Other annotations with our prefix are protected too: a later version may use them.", change(r.kind, plain, unknownOfOurs),
			provider, "they are the operator's own"},
		{"Decide", "A decision needs its own verb. The manager writes a decision about all held removals to each object.", change(r.kind, plain, ownDecision),
			who("manager operator restorer collector", decider, wildcards), "may not decide about"},
		{"DecideAsAnotherUser", "The audit names who decided.", change(r.kind, plain, foreignDecision),
			who("manager operator collector", restoring), "may not decide about|set the annotation " + v1alpha1.AnnotationDecidedBy + "=.*@example.test in the same change"},
		{"DecideWithoutName", "The audit names who decided.", change(r.kind, plain, unsignedDecision),
			who("manager operator collector", restoring), "may not decide about|says who decided"},
		{"DecideTheOtherWay", "A user who decides otherwise removes the earlier decision.", change(r.kind, decided, otherWay),
			who("manager operator restorer collector", decider, wildcards), "may not decide about"},
		{"TakeDecisionBack", "To withdraw a decision is a decision too.", change(r.kind, decided, takenBack),
			who("manager operator restorer collector", decider, wildcards), "may not decide about"},
		{"TakeOverDecision", "A user cannot sign the decision of another user.", change(r.kind, decided, usurped),
			who("manager operator collector", restoring), "may not decide about|has a decision of another user, " + v1alpha1.AnnotationDrop},
	}
	for _, name := range v1alpha1.DecisionAnnotations() {
		_, short, _ := strings.Cut(name, "/")
		table = append(table, operation{"Decide/" + short, "Every decision needs the verb, whatever it is about.",
			change(r.kind, plain, fmt.Sprintf(`{"metadata":{"annotations":{%q:"1",%q:"USER"}}}`, name, v1alpha1.AnnotationDecidedBy)),
			who("manager operator restorer collector", decider, wildcards), "may not decide about"})
	}
	if r.suspends {
		table = append(table,
			operation{"Suspend", "People suspend a user; the webhook cannot.", change(r.kind, plain, `{"spec":{"suspend":true}}`),
				who("manager operator decider collector", editors, restorers), "may not set spec.suspend"},
			operation{"SuspendAndChange", "A permitted change does not permit another change in the same request.",
				change(r.kind, plain, r.patch(map[string]any{"suspend": true})),
				who("manager operator collector", restoring), noRestore + "|may not set spec.suspend"},
		)
	}
	if r.status != "" {
		table = append(table, operation{"Status", "The manager writes status.", status(r.kind, plain, r.status),
			who("manager operator"), notManager})
	}
	return table
}

// claim returns the name of the n-th claim.
func claim(n int) string { return "user-" + strings.Repeat(fmt.Sprint(n), 64) }

func claimSpec() map[string]any {
	return map[string]any{"type": "User", "holder": map[string]any{"name": plainUser, "uid": "u"}}
}

// claims returns the operations on a NameClaim: a subject that takes a claim takes the name.
func claims() []operation {
	taken := map[string]any{"type": "User", "holder": map[string]any{"name": decidedUser, "uid": "u"}}
	return []operation{
		{"Create", "A claim is the exclusive right to a name.", create("NameClaim", claim(1), claimSpec(), nil), who(programs, restoring), noRestore},
		{"TakeOver", "The object in the claim has the name.", replace("NameClaim", claim(0), taken), who(programs, restoring, "collector"), noRestore},
		{"Delete", "Without a claim the name is free.", remove("NameClaim", claim(0)), who(programs, restoring, clean), noRestore},
	}
}
