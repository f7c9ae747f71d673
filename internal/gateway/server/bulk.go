// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
)

// bulkOperation is one element of a bulk request's Operations (RFC 7644 §3.7).
type bulkOperation struct {
	method, bulkID, version, path string
	data                          scim.Object
	refs                          []string // bulkIds of other operations on which this operation depends

	done    bool
	half    *bulkOperation // the POST that this operation completes; nil for an operation of the request
	created string         // the id that a POST created
	answer  scim.Object
}

// bulkRun is a bulk request in progress. Operations run in their order, except that an operation
// waits for the POSTs to which it refers by bulkId (RFC 7644 §3.7.2).
type bulkRun struct {
	call       *call
	operations []*bulkOperation
	posts      map[string]*bulkOperation
	failures   int
	most       int // number of failures after which the other operations are skipped; 0 means no limit
}

// bulk handles POST /Bulk (RFC 7644 §3.7).
func (c *call) bulk() (reply, error) {
	body, err := c.object()
	if err != nil {
		return reply{}, err
	}
	run, err := c.readBulk(body)
	if err != nil {
		return reply{}, err
	}
	run.all()
	run.complete()
	c.limits.charge(c.identity.Secret, len(run.operations)-1)
	var answers []any
	for _, op := range run.operations {
		if op.done && op.half == nil {
			answers = append(answers, op.answer)
		}
	}
	out, err := marshal(scim.Object{"schemas": []any{scim.SchemaBulkResponse}, "Operations": answers})
	return reply{status: http.StatusOK, body: out}, err
}

func (c *call) readBulk(body scim.Object) (*bulkRun, error) {
	c.countSchemas(body)
	run := &bulkRun{call: c, posts: map[string]*bulkOperation{}}
	var list []any
	for name, v := range body {
		var err error
		switch strings.ToLower(name) {
		case "schemas":
			err = hasSchema(v, scim.SchemaBulkRequest)
		case "failonerrors":
			n, ok := v.(int64)
			if !ok && v != nil || ok && n < 1 {
				err = scim.BadRequest(scim.InvalidSyntax, "failOnErrors must be a whole number of at least 1.")
			}
			run.most = int(min(n, MaxOperations+1))
		case "operations":
			list, _ = v.([]any)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case len(list) == 0:
		return nil, scim.BadRequest(scim.InvalidSyntax, "Operations must be a list of at least one operation.")
	case len(list) > MaxOperations:
		return nil, scim.Failure(http.StatusRequestEntityTooLarge, "A bulk request can have at most %d operations; this one has %d.", MaxOperations, len(list))
	}
	if err := run.read(list); err != nil {
		return nil, err
	}
	return run, nil
}

func (b *bulkRun) read(list []any) error {
	for i, e := range list {
		op, err := readOperation(e)
		if err != nil {
			err.Detail = "Operation " + strconv.Itoa(i) + ": " + err.Detail
			return err
		}
		if op.method == http.MethodPost {
			if b.posts[op.bulkID] != nil {
				return scim.BadRequest(scim.InvalidValue, "Operation %d: the bulkId %q is used twice.", i, op.bulkID)
			}
			b.posts[op.bulkID] = op
		}
		b.operations = append(b.operations, op)
	}
	for _, op := range b.operations { // a reference to an unknown bulkId fails the operation: the loop below need not check it again
		if i := slices.IndexFunc(op.refs, func(id string) bool { return b.posts[id] == nil }); i >= 0 {
			op.refs = op.refs[i : i+1]
		}
	}
	return nil
}

func readOperation(e any) (*bulkOperation, *scim.Error) {
	o, ok := e.(scim.Object)
	if !ok {
		return nil, scim.BadRequest(scim.InvalidSyntax, "it must be an object.")
	}
	op := &bulkOperation{}
	var list []any
	for name, v := range o {
		switch strings.ToLower(name) {
		case "method":
			s, _ := v.(string)
			op.method = strings.ToUpper(s)
		case "bulkid":
			op.bulkID, _ = v.(string)
		case "version":
			op.version, _ = v.(string)
		case "path":
			op.path, _ = v.(string)
		case "data":
			op.data, _ = v.(scim.Object)
			list, _ = v.([]any)
		}
	}
	if op.method == http.MethodPatch && list != nil { // only the operations, as in the example of RFC 7644 §3.7.3
		op.data = scim.Object{"schemas": []any{scim.SchemaPatchOp}, "Operations": list}
	}
	switch {
	case !slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, op.method):
		return nil, scim.BadRequest(scim.InvalidSyntax, "method must be POST, PUT, PATCH or DELETE.")
	case op.path == "":
		return nil, scim.BadRequest(scim.InvalidSyntax, "path is missing.")
	case op.method == http.MethodPost && op.bulkID == "":
		return nil, scim.BadRequest(scim.InvalidSyntax, "a POST needs a bulkId.")
	case op.method != http.MethodDelete && op.data == nil:
		return nil, scim.BadRequest(scim.InvalidSyntax, "data is missing.")
	}
	op.refs = slices.Compact(slices.Sorted(slices.Values(references(op.path, op.data))))
	return op, nil
}

const bulkPrefix = "bulkId:"

// references finds every bulkId:… in a path and in data.
func references(path string, data any) []string {
	var out []string
	for _, part := range strings.Split(path, "/") {
		out = append(out, referencesIn(part)...)
	}
	return append(out, referencesIn(data)...)
}

func referencesIn(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		if id, ok := strings.CutPrefix(v, bulkPrefix); ok {
			out = append(out, id)
		}
	case []any:
		for _, e := range v {
			out = append(out, referencesIn(e)...)
		}
	case scim.Object:
		for _, e := range v {
			out = append(out, referencesIn(e)...)
		}
	}
	return out
}

// all runs the operations in order, and repeats while an operation that had to wait can continue.
// It breaks a cycle of users that are each other's managers: it creates one without a manager and
// sets the manager afterwards.
func (b *bulkRun) all() {
	for {
		progress := false
		var waiting []*bulkOperation
		for _, op := range b.operations {
			switch {
			case op.done:
			case b.most > 0 && b.failures >= b.most:
				return
			case b.ready(op):
				b.run(op)
				progress = true
			case op.method == http.MethodPost:
				waiting = append(waiting, op)
			}
		}
		if progress {
			continue
		}
		if len(waiting) == 0 {
			return
		}
		b.open(waiting)
	}
}

// open breaks a cycle of POSTs that wait for each other.
func (b *bulkRun) open(waiting []*bulkOperation) {
	for _, op := range waiting {
		extension, _ := op.data[scim.SchemaEnterpriseUser].(scim.Object)
		if len(referencesIn(extension["manager"])) > 0 {
			b.runWithoutManager(op, extension)
			return
		}
	}
	b.finish(waiting[0], "", errorReply(scim.Failure(http.StatusConflict, "The operations refer to each other in a circle that can't be resolved.")))
}

// complete runs second halves that failOnErrors skipped: a resource with the status 201 must be
// complete, or the response must show that it is not.
func (b *bulkRun) complete() {
	for _, op := range b.operations {
		switch {
		case op.done || op.half == nil:
		case b.ready(op):
			b.run(op)
		default:
			b.finish(op, "", errorReply(scim.Failure(http.StatusConflict, "The manager was not created.")))
		}
	}
}

// ready reports whether everything to which op refers is finished. References to unknown bulkIds
// were resolved when the request was read.
func (b *bulkRun) ready(op *bulkOperation) bool {
	for _, id := range op.refs {
		if post := b.posts[id]; post != nil && !post.done {
			return false
		}
	}
	return true
}

// run executes one operation.
func (b *bulkRun) run(op *bulkOperation) {
	for _, id := range op.refs {
		if post := b.posts[id]; post == nil {
			b.finish(op, "", errorReply(scim.BadRequest(scim.InvalidValue, "No POST in this request has the bulkId %q.", id)))
			return
		} else if post.created == "" {
			b.finish(op, "", errorReply(scim.Failure(http.StatusConflict, "The operation with the bulkId %q, on which this one depends, failed.", id)))
			return
		}
	}
	rep, path := b.serve(op.method, op.path, op.version, op.data)
	b.finish(op, path, rep)
}

// runWithoutManager creates a user whose manager does not exist yet, and sets the manager later.
func (b *bulkRun) runWithoutManager(op *bulkOperation, extension scim.Object) {
	manager := extension["manager"]
	delete(extension, "manager")
	op.refs = slices.Compact(slices.Sorted(slices.Values(references(op.path, op.data))))
	b.run(op)
	if op.created == "" {
		return
	}
	later := &bulkOperation{
		method: http.MethodPatch, path: "/Users/" + op.created, refs: referencesIn(manager), half: op,
		data: scim.Object{"schemas": []any{scim.SchemaPatchOp}, "Operations": []any{
			scim.Object{"op": "add", "path": scim.SchemaEnterpriseUser + ":manager", "value": manager},
		}},
	}
	b.operations = append(b.operations, later)
}

// serve handles an operation by the same handlers as a separate request.
func (b *bulkRun) serve(method, path, version string, data scim.Object) (rep reply, resolved string) {
	sub := &call{
		Server: b.call.Server, ctx: b.call.ctx, start: b.call.start, id: b.call.id, log: b.call.log, config: b.call.config,
		identity: b.call.identity, base: b.call.base, method: method, ifMatch: version, query: url.Values{},
	}
	var err error
	path, raw, _ := strings.Cut(path, "?")
	if sub.segments, err = split(path); err != nil {
		return sub.refuse(err), ""
	}
	if sub.query, err = url.ParseQuery(raw); err != nil || len(sub.segments) == 0 || sub.segments[0] != "Users" && sub.segments[0] != "Groups" || sub.segments[len(sub.segments)-1] == ".search" {
		return sub.refuse(scim.BadRequest(scim.InvalidPath, "path must be /Users or /Groups, with an id where the method needs one.")), ""
	}
	for i, s := range sub.segments {
		sub.segments[i] = b.resolve(s).(string)
	}
	if sub.payload, err = marshal(b.resolve(data)); err != nil {
		return sub.refuse(err), ""
	}
	for _, step := range []func() error{sub.route, sub.admit} {
		if err := step(); err != nil {
			return sub.refuse(err), ""
		}
	}
	defer sub.unreserve()
	rep, err = sub.operation.handle(sub)
	if err != nil {
		rep = sub.refuse(err)
	}
	return rep, "/" + strings.Join(sub.segments, "/")
}

// resolve replaces bulkId:… with ids.
func (b *bulkRun) resolve(v any) any {
	switch v := v.(type) {
	case string:
		if id, ok := strings.CutPrefix(v, bulkPrefix); ok && b.posts[id] != nil && b.posts[id].created != "" {
			return b.posts[id].created
		}
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = b.resolve(e)
		}
		return out
	case scim.Object:
		out := make(scim.Object, len(v))
		for k, e := range v {
			out[k] = b.resolve(e)
		}
		return out
	}
	return v
}

// finish records the result of an operation.
func (b *bulkRun) finish(op *bulkOperation, path string, rep reply) {
	op.done = true
	if op.half != nil {
		b.finishHalf(op.half, rep)
		return
	}
	op.answer = scim.Object{"method": op.method, "status": strconv.Itoa(rep.status)}
	if op.bulkID != "" {
		op.answer["bulkId"] = op.bulkID
	}
	if rep.etag != "" {
		op.answer["version"] = rep.etag
	}
	switch {
	case rep.location != "":
		op.answer["location"] = rep.location
	case op.method != http.MethodPost && path != "":
		op.answer["location"] = b.call.base + path
	}
	if rep.status >= 300 {
		b.failures++
		if body, err := scim.DecodeJSON(rep.body, scim.Limits{}); err == nil {
			op.answer["response"] = body
		}
		return
	}
	if op.method == http.MethodPost {
		op.created = rep.location[strings.LastIndexByte(rep.location, '/')+1:]
	}
}

// finishHalf adds the failure of the second half to the response of its POST: the user exists, but
// without the manager.
func (b *bulkRun) finishHalf(post *bulkOperation, rep reply) {
	if rep.status < 300 {
		return
	}
	b.failures++
	post.answer["status"] = strconv.Itoa(rep.status)
	body, err := scim.DecodeJSON(rep.body, scim.Limits{})
	if err != nil {
		return
	}
	body["detail"] = fmt.Sprint("The User was created, but the manager could not be set: ", body["detail"])
	post.answer["response"] = body
}
