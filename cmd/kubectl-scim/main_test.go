// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// namespace is the namespace in the manual.
const namespace = "lightrun-system"

// scene is a cluster and a portal for the manual's commands.
type scene struct {
	*testing.T
	cp         *controlplane.ControlPlane
	store      *store.Store
	kubeconfig string
	ids        map[string]string // the portal's random ids, and the manual's ids
}

var operator = store.Actor{Kind: store.Operator, ID: "operator", Name: "operator", Scopes: []store.Scope{store.ScopeProvisioning}}

func newScene(t *testing.T) *scene {
	s := &scene{T: t, cp: controlplane.Get(t), store: portaltest.Store(t, portaltest.Options{}), ids: map[string]string{}}
	_, _, err := s.store.SaveLoginMethods(t.Context(), store.SystemActor("test"), portalapi.LoginMethods{
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}, SCIMEnabled: true,
	}, nil, false)
	s.must(err)
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	s.create(&corev1.Secret{ObjectMeta: named("portal-credentials"), Data: map[string][]byte{"token": []byte(portaltest.ProvisioningKey)}})
	zero := int32(0)
	s.create(&v1alpha1.IdentityConfiguration{ObjectMeta: named(v1alpha1.DefaultName), Spec: v1alpha1.IdentityConfigurationSpec{
		Portal:              v1alpha1.Portal{URL: portaltest.Serve(t, s.store), CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal-credentials"}},
		IdentityProvider:    v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
		DeprovisioningGuard: v1alpha1.DeprovisioningGuard{MaxPercent: &zero, MinUsers: &zero},
	}})
	s.people()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: s.cp.Config.Host, CertificateAuthorityData: s.cp.Config.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: s.cp.Config.CertData, ClientKeyData: s.cp.Config.KeyData}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: namespace}
	config.CurrentContext = "x"
	s.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	s.must(clientcmd.WriteToFile(*config, s.kubeconfig))
	return s
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) create(o client.Object) {
	s.Helper()
	s.must(s.cp.Client.Create(s.Context(), o))
}

// people creates a small company with pending changes.
func (s *scene) people() {
	payments := &v1alpha1.AgentPool{ObjectMeta: named("payments"), Spec: v1alpha1.AgentPoolSpec{DisplayName: "Payments", Roles: []v1alpha1.Role{portalapi.RoleIgnoreQuota}, Groups: []v1alpha1.GroupReference{{ID: group}}}}
	s.create(payments)
	part := &v1alpha1.ScimGroupSlice{ObjectMeta: named(groupslice.Name(group, 0)), Spec: v1alpha1.ScimGroupSliceSpec{Members: scimIDs["ada"] + "\n"}}
	part.Labels = map[string]string{v1alpha1.LabelGroup: group}
	s.create(part)
	s.create(&v1alpha1.ScimGroup{ObjectMeta: named(group), Spec: v1alpha1.ScimGroupSpec{DisplayName: "Payments"}})
	s.create(&v1alpha1.AgentPool{ObjectMeta: named("leads"), Spec: v1alpha1.AgentPoolSpec{DisplayName: "Leads", Roles: []v1alpha1.Role{portalapi.RoleManager}, Members: []v1alpha1.PoolMember{{UserName: "ada@example.test"}}}})
	pool, err := s.store.PutPool(s.Context(), operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: string(payments.UID), Name: payments.Name, Revision: 1}, Name: "Payments", Roles: []string{portalapi.RoleIgnoreQuota}, Pins: []portalapi.Pin{{Line: "id " + group, ID: group}}})
	s.must(err)
	s.provisioned(s.user("ada", nil), pool.ID)
	bob := s.user("bob", func(u *v1alpha1.ScimUserSpec) { u.DisplayName = "Bob" })
	s.provisioned(bob)
	no := false
	bob.Spec.Active = &no
	s.must(s.cp.Client.Update(s.Context(), bob))
	bob.Status.Held = &v1alpha1.HeldRemoval{Decision: heldByBob, Removal: "Deactivation", Users: 1}
	bob.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionDeprovisioningHeld, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonGuardHeld,
		Message: "Held by the deprovisioning guard", ObservedGeneration: bob.Generation, LastTransitionTime: metav1.NewTime(time.Date(2026, 12, 24, 9, 30, 0, 0, time.UTC))}}
	s.must(s.cp.Client.Status().Update(s.Context(), bob))
	s.user("eve", nil)
	s.user("zoe", func(u *v1alpha1.ScimUserSpec) { u.Emails = []v1alpha1.MultiValue{{Value: "zoe.private@example.test"}} })
	for name, n := range map[string]store.NewAccount{
		"eve": {DirectRoles: []string{portalapi.RoleManager}}, "stays": {}, "zz.top": {Email: "zoe.private@example.test"},
	} {
		n.UserName = name + "@example.test"
		_, err := s.store.CreateAccount(s.Context(), store.SystemActor("test"), n)
		s.must(err)
	}
	gone, err := s.store.PutAccount(s.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "gone", Name: "6f9619ff-8b86-4011-b42d-00c04fc964ff", Revision: 1}, UserName: "gone@example.test", Active: true})
	s.must(err)
	s.ids[gone.ID] = "019ad4c2-9c51-7e0c-a4b8-5a1f0c6f3b11"
	left, err := s.store.PutPool(s.Context(), operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "left", Name: "contractors", Revision: 1}, Name: "Contractors", Roles: []string{portalapi.RoleIgnoreQuota}})
	s.must(err)
	s.ids[left.ID] = "019ad4c2-9c7e-7b1d-9f02-3d6e8a4c5b27"
}

// group is the id of the group that fills the pool payments.
const group = "5b7d3f0c-8e4e-4e3d-b2f6-7c9a1e0d4b53"

var scimIDs = map[string]string{
	"ada": "10df185d-6524-4d4f-9d19-e4a4204dcaa5", "bob": "2b9c6b5e-5a43-4c0e-8d0a-0f5a3b3f8e21",
	"eve": "3f0d8a7c-1c1e-4b51-9b1f-7d2e9c4a6b30", "zoe": "4a6c2e9b-7f3d-4d2c-a1e5-6b8f0d9c3a42",
}

// user creates a user; ada is in the group.
func (s *scene) user(name string, edit func(*v1alpha1.ScimUserSpec)) *v1alpha1.ScimUser {
	u := &v1alpha1.ScimUser{ObjectMeta: named(scimIDs[name]), Spec: v1alpha1.ScimUserSpec{UserName: name + "@example.test", Revision: 1}}
	if name == "ada" {
		u.Spec.DisplayName = "Ada Lovelace"
	}
	if edit != nil {
		edit(&u.Spec)
	}
	s.create(u)
	return u
}

// provisioned creates the user's account, as it was before some changes.
func (s *scene) provisioned(u *v1alpha1.ScimUser, pools ...string) {
	_, err := s.store.PutAccount(s.Context(), operator, portalapi.AccountWrite{
		Owner: portalapi.Owner{UID: string(u.UID), Name: u.Name, Revision: 1}, UserName: u.Spec.UserName, DisplayName: strings.Fields(u.Spec.DisplayName)[0], Active: true, Pools: pools,
	})
	s.must(err)
}

// run runs a command line without its "kubectl scim", and returns the output and the
// exit code.
func (s *scene) run(args ...string) (string, int) {
	var out bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out}
	c := command(streams)
	c.SetArgs(append([]string{"--kubeconfig", s.kubeconfig}, args...))
	c.SetOut(&out)
	code := exitCode(c.ExecuteContext(s.Context()), streams)
	printed := out.String()
	for id, shown := range s.ids {
		printed = strings.ReplaceAll(printed, id, shown)
	}
	return printed, code
}

var (
	block = regexp.MustCompile("(?s)```console\n(.*?)```")
)

// TestTheManualShowsWhatIsPrinted runs the commands in docs/reference/kubectl-scim.md in order, and
// compares their output.
func TestTheManualShowsWhatIsPrinted(t *testing.T) {
	s := newScene(t)
	page, err := os.ReadFile("../../docs/reference/kubectl-scim.md")
	s.must(err)
	commands := 0
	for _, b := range block.FindAllStringSubmatch(string(page), -1) {
		for _, shown := range strings.Split("\n"+b[1], "\n$ kubectl scim ")[1:] {
			line, want, _ := strings.Cut(shown, "\n")
			got, code := s.run(strings.Fields(line)...)
			if code > 0 {
				got += fmt.Sprintf("exit code %d\n", code)
			}
			if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
				t.Errorf("$ kubectl scim %s\nprints\n%s\n(-manual +printed):\n%s", line, got, diff)
			}
			commands++
		}
	}
	if commands < 8 {
		t.Errorf("the manual shows %d commands", commands)
	}
	t.Log("decisions are written as the annotations that the operator reads")
	bob := &v1alpha1.ScimUser{}
	s.must(s.cp.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: scimIDs["bob"]}, bob))
	if released, dropped := bob.Annotations[v1alpha1.AnnotationRelease], bob.Annotations[v1alpha1.AnnotationDrop]; released != "" || dropped != heldByBob {
		t.Errorf("released %q and then dropped %q, want the newer decision about the removal %s", released, dropped, heldByBob)
	}
	if got := bob.Annotations[v1alpha1.AnnotationDecidedBy]; got != "admin" {
		t.Errorf("released by %q, want the user of the kubeconfig", got)
	}
	config := &v1alpha1.IdentityConfiguration{}
	s.must(s.cp.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: v1alpha1.DefaultName}, config))
	if _, err := time.Parse(time.RFC3339, config.Annotations[v1alpha1.AnnotationReleaseOwnerGone]); err != nil {
		t.Error(err)
	}
	s.decidesInsteadOfAnother(config)
	s.accepts()
	s.releasesWhatWasDropped()
	s.readsWithAKeyThatOnlyReads()
	for _, format := range []string{"json", "yaml"} {
		if out, code := s.run("plan", "-o", format); code != exitFound || !strings.Contains(out, "withoutUser") {
			t.Errorf("-o %s: exit code %d, %s", format, code, out)
		}
	}
	s.badInput()
	s.wrongNamespace()
	s.replacesOperator()
	s.replacesProvider(config)
}

// replacesOperator binds the portal to another operator, and to this one. A replacement says which
// provider the portal keeps.
func (s *scene) replacesOperator() {
	s.Helper()
	config := &v1alpha1.IdentityConfiguration{}
	key := client.ObjectKey{Namespace: namespace, Name: v1alpha1.DefaultName}
	bind := func(b portalapi.Binding, replaces string) string {
		s.Helper()
		b.Replaces = replaces
		id, err := s.store.Bind(s.Context(), operator, b)
		s.must(err)
		return id
	}
	theirs := portalapi.Binding{Cluster: "another", Namespace: namespace, Name: v1alpha1.DefaultName, UID: "another", ProviderType: "Okta", ProviderName: "theirs"}
	id := bind(theirs, "")
	out, code := s.run("bind", "--replace")
	if code != 0 || !strings.Contains(out, "The portal stays integrated with Okta/theirs, and Okta is refused. To replace Okta/theirs afterwards: kubectl scim provider --replace Okta/theirs -n "+namespace) {
		s.Errorf("bind --replace: exit code %d, %s", code, out)
	}
	s.must(s.cp.Client.Get(s.Context(), key, config))
	if got := config.Annotations[v1alpha1.AnnotationReplaceOperator]; got != id {
		s.Errorf("the decision is about %q, want the binding %s", got, id)
	}
	ours := theirs
	ours.Cluster, ours.UID = "cluster", string(config.UID)
	bind(ours, id)
	if out, code := s.run("bind", "--replace"); code != 0 || !strings.Contains(out, "bound to this operator already") {
		s.Errorf("bind --replace when there is none to replace: exit code %d, %s", code, out)
	}
}

// readsWithAKeyThatOnlyReads runs all commands that read the portal without the operator's key.
func (s *scene) readsWithAKeyThatOnlyReads() {
	s.Helper()
	file := filepath.Join(s.TempDir(), "key")
	s.must(os.WriteFile(file, []byte(portaltest.ReadKey), 0o600))
	for line, want := range map[string]int{"plan": exitFound, "audit": exitFound, "provider": 0, "bind": 0} {
		if out, code := s.run(line, "--portal-key-file", file); code != want {
			s.Errorf("%s: exit code %d, %s", line, code, out)
		}
	}
}

// releasesWhatWasDropped notes a release of a removal that a person dropped before, by its id.
func (s *scene) releasesWhatWasDropped() {
	s.Helper()
	const dropped = "mwxpemhe-ecf183e4ba2e"
	pool := &v1alpha1.AgentPool{}
	s.must(s.cp.Client.Get(s.Context(), client.ObjectKey{Namespace: namespace, Name: "payments"}, pool))
	pool.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionProvisioned, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRemovalDropped,
		Message: "A person dropped this removal (" + dropped + ")", LastTransitionTime: metav1.NewTime(time.Date(2026, 12, 24, 9, 30, 0, 0, time.UTC))}}
	s.must(s.cp.Client.Status().Update(s.Context(), pool))
	pool.Annotations = map[string]string{v1alpha1.AnnotationDrop: dropped, v1alpha1.AnnotationDecidedBy: "admin"}
	s.must(s.cp.Client.Update(s.Context(), pool))
	if out, code := s.run("release", "agentpool/payments", "--id", "mwxpemhe-000000000000"); code != exitError {
		s.Errorf("another id: exit code %d, %s", code, out)
	}
	if out, code := s.run("release", "agentpool/payments", "--id", dropped); code != 0 {
		s.Fatal(out)
	}
	s.must(s.cp.Client.Get(s.Context(), client.ObjectKeyFromObject(pool), pool))
	if _, still := pool.Annotations[v1alpha1.AnnotationDrop]; still || pool.Annotations[v1alpha1.AnnotationRelease] != dropped {
		s.Errorf("the annotations are %v", pool.Annotations)
	}
}

// accepts writes acceptances, with the user's own name.
func (s *scene) accepts() {
	for line, want := range map[string]struct {
		object     client.Object
		annotation string
		value      string
	}{
		"accept agentpool/payments --group 7c1f6c1e-5b8e-4f1e-9d3a-0c1e2f3a4b5c":   {&v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: "payments"}}, v1alpha1.AnnotationAcceptGroups, "7c1f6c1e-5b8e-4f1e-9d3a-0c1e2f3a4b5c"},
		"accept agentpool/leads --member " + scimIDs["ada"] + "," + scimIDs["bob"]: {&v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: "leads"}}, v1alpha1.AnnotationAcceptMembers, scimIDs["ada"] + "," + scimIDs["bob"]},
		"accept scimuser/" + scimIDs["ada"] + " --revision 7":                      {&v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: scimIDs["ada"]}}, v1alpha1.AnnotationAcceptBackup, "7"},
	} {
		if out, code := s.run(strings.Fields(line)...); code != 0 {
			s.Fatal(out)
		}
		s.must(s.cp.Client.Get(s.Context(), client.ObjectKey{Namespace: namespace, Name: want.object.GetName()}, want.object))
		if a := want.object.GetAnnotations(); a[want.annotation] != want.value || a[v1alpha1.AnnotationDecidedBy] != "admin" {
			s.Errorf("%s: %v", line, a)
		}
	}
}

// decidesInsteadOfAnother: an object names one user who decided, so another user's decision is
// removed.
func (s *scene) decidesInsteadOfAnother(config *v1alpha1.IdentityConfiguration) {
	config.Annotations[v1alpha1.AnnotationDecidedBy], config.Annotations[v1alpha1.AnnotationAcceptLoss] = "bob", "loss"
	s.must(s.cp.Client.Update(s.Context(), config))
	if out, code := s.run("audit", "--release"); code != 0 {
		s.Fatal(out)
	}
	s.must(s.cp.Client.Get(s.Context(), client.ObjectKeyFromObject(config), config))
	for _, name := range append(v1alpha1.DecisionAnnotations(), v1alpha1.AnnotationDecidedBy) {
		_, found := config.Annotations[name]
		if want := name == v1alpha1.AnnotationReleaseOwnerGone || name == v1alpha1.AnnotationDecidedBy; found != want {
			s.Errorf("%s must be removed: %v", name, found)
		}
	}
	if got := config.Annotations[v1alpha1.AnnotationDecidedBy]; got != "admin" {
		s.Errorf("decided by %q", got)
	}
}

// heldByBob is the id of the removal of bob, held since 2026-12-24 09:30 UTC.
const heldByBob = "my1d1ww0-9c1d2e3f4a5b"

func (s *scene) badInput() {
	for line, says := range map[string]string{
		"plan ada":                                "user NAME, or pool NAME",
		"plan user unknown@example.test":          "there is no user",
		"plan -o xml":                             "use table, json or yaml",
		"plan --portal-key-file /no/such":         "read the portal's key",
		"release":                                 "or use --all",
		"drop unknown@example.test":               "kubectl scim held lists what is",
		"drop a b --id x":                         "name that object",
		"plan --portal-url ftp://portal.ex":       "must be absolute",
		"accept payments":                         "is not agentpool/NAME",
		"accept agentpool/payments":               "--group ID",
		"accept agentpool/x --group a --member b": "--member ID",
		"accept scimuser/x --member a":            "--revision N",
		"accept scimuser/x":                       "--revision N",
		"accept scimuser/x --revision 1":          "get scimuser/x",
	} {
		if out, code := s.run(strings.Fields(line)...); code != exitError || !strings.Contains(out, says) {
			s.Errorf("kubectl scim %s: exit code %d, %s", line, code, out)
		}
	}
}

// wrongNamespace runs every command in a namespace without the operator: the error names the
// namespace that has one, and nothing is written.
func (s *scene) wrongNamespace() {
	s.Helper()
	lines := []string{
		"plan", "audit", "audit --release", "held", "release --all", "release bob@example.test", "drop --all", "drop bob@example.test",
		"accept agentpool/payments --group x", "provider", "provider --replace Okta", "bind", "bind --replace", "restore open", "restore close",
	}
	for _, line := range lines {
		out, code := s.run(append(strings.Fields(line), "-n", "default")...)
		if code != exitError || !strings.Contains(out, "the namespace default has no IdentityConfiguration; choose the operator's namespace: -n "+namespace+"\n") {
			s.Errorf("kubectl scim %s: exit code %d, %s", line, code, out)
		}
	}
	ns := &corev1.Namespace{}
	s.must(s.cp.Client.Get(s.Context(), client.ObjectKey{Name: "default"}, ns))
	if _, open := ns.Annotations[v1alpha1.AnnotationRestore]; open {
		s.Error("the restore window of a namespace without the operator is open")
	}
	s.Log("the configuration can be lost, and the operator is known by its service account")
	for _, account := range managerAccounts {
		restored := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "restored-"}}
		s.create(restored)
		s.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: restored.Name, Name: account}})
		for _, line := range []string{"restore open", "restore close"} {
			if out, code := s.run(append(strings.Fields(line), "-n", restored.Name)...); code != 0 {
				s.Errorf("kubectl scim %s: exit code %d, %s", line, code, out)
			}
		}
		if out, code := s.run("held", "-n", restored.Name); code != exitError {
			s.Errorf("kubectl scim held: exit code %d, %s", code, out)
		}
	}
}

// replacesProvider approves only the replacement of the bound provider, while a change waits.
func (s *scene) replacesProvider(config *v1alpha1.IdentityConfiguration) {
	s.Helper()
	refused := func(replace, says string) {
		s.Helper()
		if out, code := s.run("provider", "--replace", replace); code != exitError || !strings.Contains(out, says) {
			s.Errorf("provider --replace %s: exit code %d, %s, want %q", replace, code, out, says)
		}
	}
	refused("Okta", "has not reported yet")
	s.must(s.cp.Client.Get(s.Context(), client.ObjectKeyFromObject(config), config))
	config.Status.Provider = &v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta}
	s.must(s.cp.Client.Status().Update(s.Context(), config))
	refused("Okta", "no change of the provider waits")
	config.Status.Provider.Name = "a $HOME"
	s.must(s.cp.Client.Status().Update(s.Context(), config))
	refused("Okta/another", "the portal is integrated with Okta/a $HOME, not with Okta/another. To have Okta replace it: kubectl scim provider --replace 'Okta/a $HOME' -n "+namespace)
	s.must(s.cp.Client.Get(s.Context(), client.ObjectKeyFromObject(config), config))
	if got, written := config.Annotations[v1alpha1.AnnotationReplaceProvider]; written {
		s.Errorf("a refused command wrote %q", got)
	}
	if out, code := s.run("provider", "--replace", "Okta/a $HOME"); code != 0 {
		s.Fatal(out)
	}
	s.must(s.cp.Client.Get(s.Context(), client.ObjectKeyFromObject(config), config))
	if got := config.Annotations[v1alpha1.AnnotationReplaceProvider]; got != "Okta/a $HOME" {
		s.Errorf("the annotation is %q", got)
	}
}
