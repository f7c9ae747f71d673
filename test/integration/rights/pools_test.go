// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"lightrun.com/scim-operator/api/v1alpha1"
)

const (
	noGrant    = "you need the verb grant on agentpools.iam.lightrun.com \\(ClusterRole scim-pool-granter\\)"
	notShape   = "makes and deletes only the pool of a group"
	notProgram = "people and Git write it"
	noUpdate   = "you need the verb update on"
	notManager = "may not write the status of .*: only the manager writes it"
)

func pools() []operation {
	const kind = "AgentPool"
	writers := who(editors, "pool-editor pool-granter")
	granters := who(wildcards, "pool-granter")
	changers := append(who("collector"), writers...)
	managing := append(who("collector"), granters...)
	metadata := append(who("manager operator patcher decider"), changers...)
	with := func(a, b map[string]any) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]any{a, b} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	return []operation{
		{"Read", "Pools name groups and user names.", read(kind, plainPool),
			append(who("viewer decider patcher restorer restorer-closed restorer-foreign", programs, clean), writers...), ""},

		{"Create", "People and Git write pools.", create(kind, newPool, plain, nil), writers, notShape},
		{"CreateOfGroup", "A pushed group that no pool names gets one.", create(kind, newPool, ofGroup(newPool), nil), append(who(programs), writers...), ""},
		{"CreateOfOtherGroup", "The name must be the group's id.", create(kind, newPool, ofGroup(groupPool), nil), writers, notShape},
		{"CreateOfGroupWithRoles", "A push grants nothing.", create(kind, newPool, with(ofGroup(newPool), map[string]any{"roles": []any{"ROLE_USER"}}), nil), writers, notShape},
		{"CreateOfGroupWithName", "A stolen token of the webhook must not take a name in the portal.", create(kind, newPool, with(ofGroup(newPool), map[string]any{"displayName": "Payments"}), nil), writers, notShape},
		{"CreateDefault", "The default pool has an object.", create(kind, v1alpha1.DefaultName, nil, nil), append(who(programs), writers...), ""},
		{"CreateDefaultWithRoles", "People decide which roles every user gets.", create(kind, v1alpha1.DefaultName, map[string]any{"roles": []any{"ROLE_USER"}}, nil), writers, notShape},
		{"CreateManagers", "The right to edit pools does not include the right to make managers.", create(kind, newPool, managers, nil), granters, noGrant + "|" + notShape},

		{"Change", "The verb patch alone permits no change of spec.", change(kind, plainPool, `{"spec":{"description":"b"}}`), changers, noUpdate + "|" + notProgram},
		{"Replace", "The same rules apply to a PUT.", replace(kind, plainPool, map[string]any{"description": "b"}), changers, ""},
		{"Adopt", "The pool of the portal may have ROLE_MANAGER.", change(kind, plainPool, `{"spec":{"adopt":"7"}}`), managing, noGrant + "|" + noUpdate + "|" + notProgram},
		{"CreateAdopting", "The same holds for a pool that is created with adopt.", create(kind, newPool, map[string]any{"adopt": "7"}, nil), granters, noGrant + "|" + notShape},
		{"Promote", "The pool has ROLE_MANAGER after the change.", change(kind, plainPool, `{"spec":{"roles":["ROLE_MANAGER"]}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"Demote", "The pool has ROLE_MANAGER before the change.", change(kind, managerPool, `{"spec":{"roles":null}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"AddManagers", "Another group adds managers.", change(kind, managerPool, `{"spec":{"groups":[{"displayName":"SRE"}]}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"ChangeFormer", "Its status still has the role: the guard may hold the loss.", change(kind, formerPool, `{"spec":{"description":"b"}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"AdoptAsManagers", "Adoption grants the role.", change(kind, managerPool, `{"spec":{"adopt":"7"}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},

		{"Delete", "People and Git delete declared pools.", remove(kind, plainPool), append(who("namespace-controller"), changers...), notShape},
		{"DeleteManagers", "The deletion removes the role from managers.", remove(kind, managerPool), append(who("namespace-controller"), managing...), noGrant + "|" + notShape},
		{"DeleteFormer", "The pool still grants the role in the portal.", remove(kind, formerPool), append(who("namespace-controller"), managing...), noGrant + "|" + notShape},
		{"DeleteAll", "kubectl delete --all includes a pool of managers.", removeAll(kind), who(wildcards, "namespace-controller"), noGrant},
		{"DeleteOfGroup", "The group is gone, or a declared pool has taken the record over.", remove(kind, groupPool), append(who("manager operator namespace-controller"), changers...), ""},

		{"Labels", "Labels of a pool of managers grant nothing.", change(kind, managerPool, labels), metadata, ""},
		{"Finalizers", "People must be able to remove the finalizer of a stuck pool.", change(kind, managerPool, finalizers), metadata, ""},
		{"OwnerReferences", "They can delete the object, so they count as a change of spec.", change(kind, plainPool, ownerReferences), changers, noUpdate + "|may not set ownerReferences"},
		{"OwnerReferencesOfManagers", "A deletion by the garbage collector is a deletion too.", change(kind, managerPool, ownerReferences), managing, noGrant + "|may not set ownerReferences|" + noUpdate},
		{"RequestID", "Only the operator writes it.", change(kind, plainPool, requestID), who("manager operator collector wildcard-in-window"), "they are the operator's own"},
		{"Decide", "A decision about a pool needs no right to change the pool.", change(kind, managerPool, ownDecision), who("manager operator collector decider", wildcards), "may not decide about"},
		{"DecideAsAnotherUser", "The audit names who decided.", change(kind, managerPool, foreignDecision), who("manager operator collector wildcard-in-window"), "may not decide about|says who decided"},
		{"AcceptGroups", "It takes a decision to let another group fill a pool of managers.",
			change(kind, managerPool, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationAcceptGroups+`":"`+plainUser+`","`+v1alpha1.AnnotationDecidedBy+`":"USER"}}}`),
			who("manager operator collector decider", wildcards), "may not decide about"},
		{"AcceptMembers", "It takes a decision to make another user of the same name a manager.",
			change(kind, managerPool, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationAcceptMembers+`":"`+plainUser+`","`+v1alpha1.AnnotationDecidedBy+`":"USER"}}}`),
			who("manager operator collector decider", wildcards), "may not decide about"},
		{"DecideAndChange", "A decision does not permit another change in the same request.",
			change(kind, plainPool, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationRelease+`":"1","`+v1alpha1.AnnotationDecidedBy+`":"USER"}},"spec":{"description":"b"}}`),
			who("collector", wildcards), "may not decide about|" + noUpdate + "|" + notProgram},
		{"Status", "The manager writes it.", status(kind, plainPool, `{"status":{"memberCount":7}}`), who("manager operator"), notManager},
		{"StatusPins", "A pin says which group a line means, so another pin makes other users managers.",
			status(kind, managerPool, `{"status":{"groups":[{"displayName":"SRE","group":"`+groupPool+`"}],"members":[{"userName":"ada","id":"`+plainUser+`"}]}}`),
			who("manager operator"), notManager},
	}
}

func configurations() []operation {
	const kind = "IdentityConfiguration"
	changers := who(editors, "configurer collector")
	return []operation{
		{"Change", "It selects the portal and limits removals.", change(kind, v1alpha1.DefaultName, `{"spec":{"deprovisioningGuard":{"minUsers":500}}}`),
			changers, noUpdate + ".*scim-configurer|" + notProgram},
		{"Delete", "Without it nothing is provisioned.", remove(kind, v1alpha1.DefaultName), append(who("namespace-controller"), changers...), ""},
		{"Labels", "Labels need only the right to write the object.", change(kind, v1alpha1.DefaultName, labels), append(who("manager operator patcher decider"), changers...), ""},
		{"Finalizers", "People must be able to remove the finalizer of a stuck object.", change(kind, v1alpha1.DefaultName, finalizers), append(who("manager operator patcher decider"), changers...), ""},
		{"OwnerReferences", "They can delete the object, so they count as a change of spec.", change(kind, v1alpha1.DefaultName, ownerReferences), changers, noUpdate + "|may not set ownerReferences"},
		{"Status", "It says which provider is bound.", status(kind, v1alpha1.DefaultName, `{"status":{"provider":{"type":"EntraID"}}}`), who("manager operator"), notManager},
		{"ReplaceProvider", "It takes a decision to replace the provider.",
			change(kind, v1alpha1.DefaultName, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationReplaceProvider+`":"Okta","`+v1alpha1.AnnotationDecidedBy+`":"USER"}}}`),
			who("manager operator collector decider", wildcards), "may not decide about"},
		{"ReleaseAsAnotherUser", "The audit names who decided.",
			change(kind, v1alpha1.DefaultName, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationReleaseOwnerGone+`":"2026-01-01T00:00:00Z","`+v1alpha1.AnnotationDecidedBy+`":"boss@example.test"}}}`),
			who("manager operator collector wildcard-in-window"), "may not decide about|says who decided"},
	}
}
