// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
)

// operation is the handling of one method at one endpoint. name is a label in metrics and logs.
type operation struct {
	name      string
	takesBody bool
	writes    bool
	handle    func(*call) (reply, error)
}

// endpoint is a set of paths: its methods, and whether it is served only while SCIM is on.
type endpoint struct {
	name    string // a label in metrics and logs
	gated   bool
	groups  bool
	methods methods
}

// allow returns the value of the Allow header.
func (e *endpoint) allow() string {
	methods := []string{http.MethodOptions}
	for m := range e.methods {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// route finds the endpoint and the operation.
func (c *call) route() error {
	e := c.routes.find(c.segments)
	if e == nil {
		return scim.NotFound("There is no such endpoint. This service has Users, Groups, Bulk, .search, ServiceProviderConfig, ResourceTypes and Schemas below %s.", BasePath)
	}
	c.resource = e
	method := c.method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op, ok := e.methods[method]
	if !ok && method != http.MethodOptions {
		return &methodError{method: c.method, allow: e.allow()}
	}
	c.operation = op
	return nil
}

// methodError is a 405, which must contain the allowed methods.
type methodError struct{ method, allow string }

func (e *methodError) Error() string { return e.method + " is not allowed here" }

// routes contains all endpoints: path patterns of at most two segments, in which "*" is an id.
type routes map[string]*endpoint

// find returns the endpoint of a path; nil if there is none.
func (r routes) find(path []string) *endpoint {
	switch len(path) {
	case 0:
		return r[""]
	case 1:
		return r[path[0]]
	case 2:
		if path[1] == ".search" {
			return r[path[0]+"/.search"]
		}
		return r[path[0]+"/*"]
	}
	return nil
}

func newRoutes() routes {
	return routes{
		"":        {name: "All", gated: true, methods: methods{"GET": {name: "list", handle: (*call).listAll}}},
		".search": search("All", (*call).listAll),
		"Users": {name: "User", gated: true, methods: methods{
			"GET":  {name: "list", handle: (*call).listUsers},
			"POST": {name: "create", takesBody: true, writes: true, handle: (*call).createUser},
		}},
		"Users/.search": search("User", (*call).listUsers),
		"Users/*": {name: "User", gated: true, methods: methods{
			"GET":    {name: "get", handle: (*call).getUser},
			"PUT":    {name: "replace", takesBody: true, writes: true, handle: (*call).replaceUser},
			"PATCH":  {name: "patch", takesBody: true, writes: true, handle: (*call).patchUser},
			"DELETE": {name: "delete", writes: true, handle: (*call).deleteUser},
		}},
		"Groups": {name: "Group", gated: true, groups: true, methods: methods{
			"GET":  {name: "list", handle: (*call).listGroups},
			"POST": {name: "create", takesBody: true, writes: true, handle: (*call).createGroup},
		}},
		"Groups/.search": search("Group", (*call).listGroups),
		"Groups/*": {name: "Group", gated: true, groups: true, methods: methods{
			"GET":    {name: "get", handle: (*call).getGroup},
			"PUT":    {name: "replace", takesBody: true, writes: true, handle: (*call).replaceGroup},
			"PATCH":  {name: "patch", takesBody: true, writes: true, handle: (*call).patchGroup},
			"DELETE": {name: "delete", writes: true, handle: (*call).deleteGroup},
		}},
		"Bulk": {name: "Bulk", gated: true, methods: methods{
			"POST": {name: "bulk", takesBody: true, handle: (*call).bulk},
		}},
		"Me":                    unsupported("Me", "The alias /Me is not supported: a provisioning token belongs to no user."),
		"ServiceProviderConfig": discovery((*call).serviceProviderConfig),
		"ResourceTypes":         discovery((*call).resourceTypes),
		"ResourceTypes/*":       discovery((*call).resourceTypes),
		"Schemas":               discovery((*call).schemas),
		"Schemas/*":             discovery((*call).schemas),
	}
}

type methods = map[string]operation

func search(name string, handle func(*call) (reply, error)) *endpoint {
	return &endpoint{name: name, gated: true, methods: methods{
		"POST": {name: "search", takesBody: true, handle: handle},
	}}
}

func discovery(handle func(*call) (reply, error)) *endpoint {
	return &endpoint{name: "Discovery", methods: methods{"GET": {name: "discover", handle: handle}}}
}

// unsupported returns an endpoint that responds to every method with 501.
func unsupported(name, why string) *endpoint {
	e := &endpoint{name: name, gated: true, methods: methods{}}
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		e.methods[m] = operation{name: "unsupported", handle: func(*call) (reply, error) {
			return reply{}, scim.Failure(http.StatusNotImplemented, "%s", why)
		}}
	}
	return e
}

// admit checks in the configuration whether the operation is served now. Discovery always is.
func (c *call) admit() error {
	if !c.resource.gated || c.operation.handle == nil {
		return nil
	}
	switch {
	case c.config.Missing != "":
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable,
			"The cluster does not serve %s: its CustomResourceDefinition is missing or being deleted. Nothing was changed; retry the request.", c.config.Missing)}
	case !c.config.Known:
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable,
			"It is unknown whether SCIM is on: the IdentityConfiguration named default is missing, or the portal is unreachable. Nothing was changed; retry the request.")}
	case !c.config.SCIM:
		return scim.Failure(http.StatusForbidden,
			"SCIM is off, so nothing was changed. Turn it on in the portal under Settings, Identity and Access Management, Identity Configuration, Login methods, or in loginMethods.scim of the IdentityConfiguration.")
	case !c.config.Groups && c.resource.groups && c.operation.writes:
		return errGroupsOff()
	}
	return nil
}

func errGroupsOff() error {
	return scim.Failure(http.StatusForbidden,
		"Group provisioning is off, so nothing was changed. Turn it on with loginMethods.scim.provisionGroups of the IdentityConfiguration or in the portal's login methods, or stop pushing groups.")
}
