package rights

import (
	"lightrun.com/scim-operator/api/v1alpha1"
)

const (
	noGrant    = "have the verb grant on agentpools.iam.lightrun.com \\(ClusterRole scim-pool-granter\\)"
	notShape   = "makes and deletes only the pool of a group"
	notProgram = "people and Git write it"
	noUpdate   = "have the verb update on"
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

		{"Create", "Pools are people's and Git's.", create(kind, newPool, plain, nil), writers, notShape},
		{"CreateOfGroup", "A pushed group that no pool names gets one.", create(kind, newPool, ofGroup(newPool), nil), append(who(programs), writers...), ""},
		{"CreateOfOtherGroup", "The name is the group's id.", create(kind, newPool, ofGroup(groupPool), nil), writers, notShape},
		{"CreateOfGroupWithRoles", "A push grants nothing.", create(kind, newPool, with(ofGroup(newPool), map[string]any{"roles": []any{"ROLE_USER"}}), nil), writers, notShape},
		{"CreateOfGroupWithName", "Nor does a stolen token of the webhook take a name in the portal.", create(kind, newPool, with(ofGroup(newPool), map[string]any{"displayName": "Payments"}), nil), writers, notShape},
		{"CreateDefault", "The default pool has an object.", create(kind, v1alpha1.DefaultName, nil, nil), append(who(programs), writers...), ""},
		{"CreateDefaultWithRoles", "What everybody gets is people's to say.", create(kind, v1alpha1.DefaultName, map[string]any{"roles": []any{"ROLE_USER"}}, nil), writers, notShape},
		{"CreateManagers", "Who may edit pools may not make managers.", create(kind, newPool, managers, nil), granters, noGrant + "|" + notShape},

		{"Change", "patch alone reaches no spec.", change(kind, plainPool, `{"spec":{"description":"b"}}`), changers, noUpdate + "|" + notProgram},
		{"Replace", "A PUT is judged alike.", replace(kind, plainPool, map[string]any{"description": "b"}), changers, ""},
		{"Adopt", "The portal's pool may make managers.", change(kind, plainPool, `{"spec":{"adopt":"7"}}`), managing, noGrant + "|" + noUpdate + "|" + notProgram},
		{"CreateAdopting", "So may one that is adopted from the beginning.", create(kind, newPool, map[string]any{"adopt": "7"}, nil), granters, noGrant + "|" + notShape},
		{"Promote", "After the change it makes managers.", change(kind, plainPool, `{"spec":{"roles":["ROLE_MANAGER"]}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"Demote", "Before the change it did.", change(kind, managerPool, `{"spec":{"roles":null}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"AddManagers", "A group more is managers more.", change(kind, managerPool, `{"spec":{"groups":[{"displayName":"SRE"}]}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"ChangeFormer", "In status it still has the role: its loss may be held.", change(kind, formerPool, `{"spec":{"description":"b"}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},
		{"AdoptAsManagers", "Adopting gives the role.", change(kind, managerPool, `{"spec":{"adopt":"7"}}`), managing, noGrant + "|" + notProgram + "|" + noUpdate},

		{"Delete", "Declared pools are people's and Git's.", remove(kind, plainPool), append(who("namespace-controller"), changers...), notShape},
		{"DeleteManagers", "That takes a role away from managers.", remove(kind, managerPool), append(who("namespace-controller"), managing...), noGrant + "|" + notShape},
		{"DeleteFormer", "And here too.", remove(kind, formerPool), append(who("namespace-controller"), managing...), noGrant + "|" + notShape},
		{"DeleteAll", "kubectl delete --all meets a pool of managers.", removeAll(kind), who(wildcards, "namespace-controller"), noGrant},
		{"DeleteOfGroup", "The group is gone, or a declared pool took over.", remove(kind, groupPool), append(who("manager operator namespace-controller"), changers...), ""},

		{"Labels", "Labels of a pool of managers are nobody's concern.", change(kind, managerPool, labels), metadata, ""},
		{"Finalizers", "A stuck pool must be freeable.", change(kind, managerPool, finalizers), metadata, ""},
		{"OwnerReferences", "They delete, so they are a change.", change(kind, plainPool, ownerReferences), changers, noUpdate + "|may not set ownerReferences"},
		{"OwnerReferencesOfManagers", "Deletion by the garbage collector is a deletion.", change(kind, managerPool, ownerReferences), managing, noGrant + "|may not set ownerReferences|" + noUpdate},
		{"RequestID", "Nobody makes one up.", change(kind, plainPool, requestID), who("manager operator collector wildcard-in-window"), "they are the operator's own"},
		{"Decide", "Deciding about a pool needs no right to change it.", change(kind, managerPool, ownDecision), who("manager operator collector decider", wildcards), "may not decide about"},
		{"DecideAsSomebodyElse", "The audit names who decided.", change(kind, managerPool, foreignDecision), who("manager operator collector wildcard-in-window"), "may not decide about|says who decided"},
		{"AcceptGroups", "A group that fills a pool of managers is a decision.",
			change(kind, managerPool, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationAcceptGroups+`":"`+plainUser+`","`+v1alpha1.AnnotationDecidedBy+`":"USER"}}}`),
			who("manager operator collector decider", wildcards), "may not decide about"},
		{"DecideAndChange", "Deciding is no disguise for a change.",
			change(kind, plainPool, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationRelease+`":"1","`+v1alpha1.AnnotationDecidedBy+`":"USER"}},"spec":{"description":"b"}}`),
			who("collector", wildcards), "may not decide about|" + noUpdate + "|" + notProgram},
		{"Status", "The manager writes it.", status(kind, plainPool, `{"status":{"memberCount":7}}`), who("manager operator collector", wildcards), ""},
	}
}

func configurations() []operation {
	const kind = "IdentityConfiguration"
	changers := who(editors, "configurer collector")
	return []operation{
		{"Change", "It says which portal, and how much may be removed.", change(kind, v1alpha1.DefaultName, `{"spec":{"deprovisioningGuard":{"minUsers":500}}}`),
			changers, noUpdate + ".*scim-configurer|" + notProgram},
		{"Delete", "Without it nothing is provisioned.", remove(kind, v1alpha1.DefaultName), append(who("namespace-controller"), changers...), ""},
		{"Labels", "Labels are everyone's who may write the object.", change(kind, v1alpha1.DefaultName, labels), append(who("manager operator patcher decider"), changers...), ""},
		{"Finalizers", "A stuck object must be freeable.", change(kind, v1alpha1.DefaultName, finalizers), append(who("manager operator patcher decider"), changers...), ""},
		{"OwnerReferences", "They delete, so they are a change.", change(kind, v1alpha1.DefaultName, ownerReferences), changers, noUpdate + "|may not set ownerReferences"},
		{"ReplaceProvider", "Another provider in the place of the first is a decision.",
			change(kind, v1alpha1.DefaultName, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationReplaceProvider+`":"Okta","`+v1alpha1.AnnotationDecidedBy+`":"USER"}}}`),
			who("manager operator collector decider", wildcards), "may not decide about"},
		{"ReleaseAllAsSomebodyElse", "The audit names who decided.",
			change(kind, v1alpha1.DefaultName, `{"metadata":{"annotations":{"`+v1alpha1.AnnotationReleaseHeld+`":"2026-01-01T00:00:00Z","`+v1alpha1.AnnotationDecidedBy+`":"boss@example.test"}}}`),
			who("manager operator collector wildcard-in-window"), "may not decide about|says who decided"},
	}
}
