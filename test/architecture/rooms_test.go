// SPDX-License-Identifier: Apache-2.0

package architecture

// room is a part of the house: a package, or all packages below a folder that has no room of its
// own.
type room struct {
	path    string   // below the module
	about   string   // one line for the floor plan
	rooms   []string // rooms that it may import
	outside []string // what it may import from outside: prefixes of import paths
	effects []string // packages of the standard library with effects that it may import
}

// Packages of the standard library that reach beyond the process. A room that does not list them is
// pure.
var effects = []string{"database/sql", "net", "net/http", "os", "os/exec", "os/signal", "syscall"}

// Groups of import paths from outside.
var (
	kinds      = []string{"k8s.io/apimachinery"}
	client     = append([]string{"k8s.io/client-go", "k8s.io/utils", "sigs.k8s.io/controller-runtime/pkg/client"}, kinds...)
	controller = append([]string{"k8s.io/api/core", "sigs.k8s.io/controller-runtime"}, client...)
	telemetry  = []string{"github.com/go-logr/logr", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel"}
)

func join(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

var (
	pure       = []string{"internal/scim", "internal/scim/schema", "internal/scim/filter", "internal/scim/path", "internal/scim/patch", "internal/scim/quirk"}
	decide     = []string{"internal/operator/decide/access", "internal/operator/decide/guard", "internal/operator/decide/provision"}
	portalView = []string{"internal/operator/portalclient/mirror", "internal/operator/portalclient/session"}
	reconciler = join(decide, portalView, []string{
		"api/v1alpha1", "internal/kernel/claims", "internal/kernel/conditions", "internal/kernel/names", "internal/kernel/portalapi",
		"internal/kernel/requestid", "internal/kernel/shell", "internal/kernel/tracing", "internal/operator/groupindex", "internal/operator/memberlines", "internal/operator/pass", "internal/operator/poolindex", "internal/operator/poolplan", "internal/operator/removals",
		"internal/operator/usercounts", "internal/operator/userplan",
	})
)

// house is every room but the test house and hack, which may import every room but the programs.
var house = []room{
	{"api/v1alpha1", "the kinds: types, conditions, reasons, names", nil, kinds, nil},
	{"api/portal/v1", "the portal's wire contract: openapi.yaml and what is generated from it", nil, []string{"github.com/oapi-codegen/runtime"}, []string{"net/http"}},

	{"internal/kernel/names", "how names are folded, validated and digested", nil, []string{"golang.org/x/text"}, nil},
	{"internal/kernel/provider", "the identity of one identity provider", nil, nil, nil},
	{"internal/kernel/requestid", "the id of one request, from the push to the audit", nil, []string{"github.com/google/uuid"}, []string{"net/http"}},
	{"internal/kernel/tracing", "traces, from the push to the portal", nil, join(telemetry, []string{"sigs.k8s.io/controller-runtime/pkg/reconcile", "sigs.k8s.io/controller-runtime"}), []string{"net/http", "os"}},
	{"internal/kernel/conditions", "conditions by type, and what they say together", []string{"api/v1alpha1"}, kinds, nil},
	{"internal/kernel/claims", "the one protocol for the right to a name", []string{"api/v1alpha1", "internal/kernel/names", "internal/kernel/retry"}, join(client, []string{"github.com/google/uuid", "sigs.k8s.io/controller-runtime/pkg/log"}), nil},
	{"internal/kernel/groupslice", "the members of groups, in slices", []string{"api/v1alpha1", "internal/kernel/retry"}, join(client, []string{"golang.org/x/sync"}), []string{"net/http"}},
	{"internal/kernel/portalapi", "the portal port: what the operator reads from a portal and writes to it", []string{"internal/kernel/provider"}, nil, []string{"net/http"}},
	{"internal/kernel/scimattrs", "a ScimUser as a SCIM User", []string{"api/v1alpha1", "internal/scim"}, []string{"k8s.io/apimachinery/pkg/runtime"}, nil},
	{"internal/kernel/retry", "the bound and the pauses of a repeated write", nil, nil, nil},
	{"internal/kernel/shell", "the commands in messages, quoted for a shell", nil, nil, nil},
	{"internal/kernel/version", "which build of a program runs", nil, nil, nil},
	{"internal/kernel/tokenfile", "the file that lists accepted tokens", []string{"internal/kernel/provider"}, nil, nil},

	{"internal/scim", "the pure protocol: objects, JSON, errors", nil, nil, nil},
	{"internal/scim/schema", "schemas and validation", []string{"internal/kernel/names", "internal/scim"}, nil, nil},
	{"internal/scim/filter", "filters", []string{"internal/kernel/names", "internal/scim", "internal/scim/schema"}, []string{"golang.org/x/text"}, nil},
	{"internal/scim/path", "attribute paths", []string{"internal/kernel/names", "internal/scim", "internal/scim/schema", "internal/scim/filter"}, nil, nil},
	{"internal/scim/patch", "PATCH", []string{"internal/scim", "internal/scim/schema", "internal/scim/filter", "internal/scim/path"}, nil, nil},
	{"internal/scim/quirk", "what providers send against the letter", []string{"internal/scim", "internal/scim/schema", "internal/scim/path"}, nil, nil},

	{"internal/gateway/server", "SCIM over HTTP, on any store", join(pure, []string{"internal/kernel/provider", "internal/kernel/requestid"}), join(telemetry, []string{"github.com/google/uuid", "golang.org/x/sync", "golang.org/x/time"}), []string{"net/http"}},
	{"internal/gateway/store", "users and groups as Kubernetes objects, with a watch cache", join(pure, []string{
		"api/v1alpha1", "internal/gateway/server", "internal/kernel/claims", "internal/kernel/groupslice", "internal/kernel/names", "internal/kernel/provider", "internal/kernel/requestid", "internal/kernel/retry", "internal/kernel/scimattrs", "internal/kernel/tracing",
	}), join(client, telemetry, []string{"github.com/google/uuid", "golang.org/x/sync", "sigs.k8s.io/controller-runtime/pkg/log"}), []string{"net/http"}},
	{"internal/gateway/tokens", "which tokens are accepted", []string{"internal/kernel/tokenfile"}, join(telemetry, []string{"github.com/fsnotify/fsnotify"}), []string{"os"}},
	{"internal/gateway/tokens/jwt", "tokens that an issuer signs", []string{"internal/kernel/provider"}, join(telemetry, []string{"github.com/coreos/go-oidc", "github.com/go-jose/go-jose"}), []string{"net/http"}},

	{"internal/operator/decide/access", "which pools a user is in, and which roles follow", []string{"internal/kernel/names"}, nil, nil},
	{"internal/operator/decide/guard", "which removals apply, and which are held", []string{"internal/kernel/portalapi", "internal/kernel/shell"}, nil, nil},
	{"internal/operator/decide/provision", "what must change in the portal", []string{"api/v1alpha1", "internal/kernel/names", "internal/kernel/portalapi", "internal/kernel/provider", "internal/kernel/shell", "internal/operator/decide/guard"}, nil, nil},
	{"internal/operator/portalclient/rest", "the Contract driver", []string{"api/portal/v1", "internal/kernel/portalapi", "internal/kernel/provider"}, nil, []string{"net/http"}},
	{"internal/operator/portalclient/scimtarget", "the SCIM driver: any SCIM service provider as a portal", []string{"internal/kernel/names", "internal/kernel/portalapi", "internal/scim", "internal/scim/patch", "internal/scim/schema"}, []string{"github.com/google/uuid", "golang.org/x/oauth2"}, []string{"net/http"}},
	{"internal/operator/portalclient/ledger", "the SCIM driver's ledger in ConfigMaps, and the profiles of users", []string{"api/v1alpha1", "internal/kernel/scimattrs", "internal/operator/portalclient/scimtarget", "internal/scim"}, join(client, []string{"k8s.io/api/core"}), nil},
	{"internal/operator/portalclient/mirror", "the portal's state in memory", []string{"internal/kernel/names", "internal/kernel/portalapi"}, []string{"github.com/go-logr/logr"}, nil},
	{"internal/operator/portalclient/connect", "the client of the portal that the configuration names", []string{"api/v1alpha1", "internal/kernel/portalapi", "internal/operator/portalclient/ledger", "internal/operator/portalclient/rest", "internal/operator/portalclient/scimtarget"}, client, []string{"net/http"}},
	{"internal/operator/portalclient/hook", "code around every call to the portal", []string{"internal/kernel/portalapi"}, nil, nil},
	{"internal/operator/portalclient/breaker", "pauses while the portal is unreachable", []string{"internal/kernel/portalapi", "internal/operator/portalclient/hook"}, nil, nil},
	{"internal/operator/portalclient/metered", "metrics of portal calls", []string{"internal/kernel/portalapi", "internal/operator/portalclient/hook"}, []string{"github.com/prometheus/client_golang"}, nil},
	{"internal/operator/portalclient/session", "the connection to the configured portal", []string{"api/v1alpha1", "internal/kernel/portalapi", "internal/operator/portalclient/breaker", "internal/operator/portalclient/mirror"}, nil, nil},
	{"internal/operator/pass", "the engine: what a pass does, in which order, and how it ends", join(portalView, []string{"api/v1alpha1", "internal/kernel/claims", "internal/kernel/conditions", "internal/kernel/names", "internal/kernel/portalapi", "internal/kernel/requestid", "internal/kernel/tracing", "internal/operator/decide/guard", "internal/operator/portalclient/breaker", "internal/operator/removals"}), controller, nil},
	{"internal/operator/removals", "the deprovisioning guard on the portal's audit", join(portalView, []string{"api/v1alpha1", "internal/kernel/portalapi", "internal/kernel/shell", "internal/operator/decide/guard"}), client, nil},
	{"internal/operator/groupindex", "groups and their members, from the watch cache", []string{"api/v1alpha1", "internal/kernel/claims", "internal/kernel/groupslice", "internal/kernel/names", "internal/kernel/requestid", "internal/kernel/shell"}, controller, nil},
	{"internal/operator/memberlines", "which users the lines of spec.members mean", []string{"api/v1alpha1", "internal/kernel/names", "internal/kernel/portalapi", "internal/operator/decide/provision"}, nil, nil},
	{"internal/operator/poolindex", "what each pool gives, from the watch cache and the mirror", join(portalView, []string{"api/v1alpha1", "internal/kernel/conditions", "internal/kernel/portalapi", "internal/kernel/shell", "internal/operator/decide/access", "internal/operator/decide/provision", "internal/operator/groupindex", "internal/operator/memberlines", "internal/scim/filter", "internal/scim/schema", "internal/scim"}), client, nil},
	{"internal/operator/userplan", "what a user's account in the portal must become", join(decide, []string{
		"api/v1alpha1", "internal/kernel/portalapi", "internal/kernel/scimattrs", "internal/operator/poolindex", "internal/operator/portalclient/mirror",
	}), client, nil},
	{"internal/operator/poolplan", "what a pool in the portal must become, with its members", join(decide, []string{
		"api/v1alpha1", "internal/kernel/claims", "internal/kernel/conditions", "internal/kernel/names", "internal/kernel/portalapi", "internal/kernel/shell",
		"internal/operator/groupindex", "internal/operator/memberlines", "internal/operator/poolindex", "internal/operator/portalclient/mirror", "internal/operator/removals", "internal/operator/userplan",
	}), client, nil},
	{"internal/operator/usercounts", "how many users are in each state, and whose deletion is finished", []string{"api/v1alpha1", "internal/kernel/conditions"}, nil, nil},
	{"internal/operator/preview", "what the manager would do now, computed without doing it", join(decide, portalView, []string{
		"api/v1alpha1", "internal/kernel/claims", "internal/kernel/conditions", "internal/kernel/names", "internal/kernel/portalapi",
		"internal/operator/groupindex", "internal/operator/poolindex", "internal/operator/poolplan", "internal/operator/removals", "internal/operator/userplan",
	}), join(client, []string{"github.com/go-logr/logr"}), nil},

	{"controllers", "the manager: all controllers on one cache", join(reconciler, []string{
		"controllers/agentpool", "controllers/identityconfiguration", "controllers/nameclaim", "controllers/scimgroup", "controllers/scimuser",
		"internal/kernel/groupslice", "internal/operator/portalclient/breaker", "internal/operator/portalclient/metered", "internal/operator/preview",
	}), join(controller, telemetry), []string{"net/http"}},
	{"controllers/agentpool", "reconciles AgentPools", join(reconciler, []string{"internal/scim/filter", "internal/scim/schema"}), controller, nil},
	{"controllers/identityconfiguration", "reconciles the IdentityConfiguration", join(reconciler, []string{"internal/kernel/provider", "internal/kernel/tokenfile"}), controller, nil},
	{"controllers/nameclaim", "sweeps NameClaims", []string{"api/v1alpha1", "internal/kernel/claims", "internal/kernel/tracing", "internal/operator/groupindex"}, controller, nil},
	{"controllers/scimgroup", "reconciles ScimGroups", join(reconciler, []string{"internal/kernel/groupslice"}), controller, nil},
	{"controllers/scimuser", "reconciles ScimUsers", join(reconciler, []string{"internal/kernel/groupslice", "internal/kernel/scimattrs"}), controller, nil},

	{"internal/portal", "the reference portal: options and serving", []string{"internal/kernel/portalapi", "internal/kernel/provider", "internal/portal/api", "internal/portal/sso", "internal/portal/store"}, join(telemetry, []string{"golang.org/x/sync"}), []string{"net", "net/http", "os"}},
	{"internal/portal/store", "its database", []string{"internal/kernel/names", "internal/kernel/portalapi", "internal/kernel/provider"}, []string{"github.com/google/uuid", "github.com/jackc/pgx", "github.com/pressly/goose", "golang.org/x/crypto", "modernc.org/sqlite"}, []string{"database/sql", "net", "net/http"}},
	{"internal/portal/api", "its REST API", []string{"api/portal/v1", "internal/kernel/portalapi", "internal/kernel/provider", "internal/kernel/requestid", "internal/portal/store"}, join(telemetry, []string{"github.com/getkin/kin-openapi"}), []string{"net/http"}},
	{"internal/portal/sso", "signing in at the company's identity provider", nil, []string{"github.com/coreos/go-oidc", "github.com/crewjam/saml", "golang.org/x/oauth2"}, []string{"net", "net/http"}},
	{"internal/portal/apidocs", "its API's document as the content of a page", []string{"api/portal/v1"}, []string{"github.com/getkin/kin-openapi"}, []string{"net/http"}},
	{"internal/portal/web", "its pages", []string{"internal/portal/apidocs", "internal/kernel/names", "internal/kernel/portalapi", "internal/kernel/provider", "internal/kernel/shell", "internal/portal", "internal/portal/sso", "internal/portal/store"}, []string{"github.com/boombuler/barcode", "github.com/go-logr/logr", "github.com/google/uuid"}, []string{"net", "net/http"}},
}
