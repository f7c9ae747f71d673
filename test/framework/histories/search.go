// SPDX-License-Identifier: Apache-2.0

package histories

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// never is the end of a request without a response.
const never = time.Duration(math.MaxInt64)

// input is a request in porcupine's form.
type input struct {
	id      string // ";7;" for the seventh request of the part
	request any
	// after contains the writes that a read from a cache must show. Its time is not sufficient: the
	// cache may have been read before another write that got its response before the read did.
	after []string
}

// state is a model's state, with the ids of the earlier requests. The ids follow from the set of
// requests that are placed, which porcupine compares anyway.
type state[S comparable] struct {
	model S
	past  string
}

// model returns a porcupine model of a step function over states that are compared with ==.
func model[S comparable](init S, step func(S, any, Answer) (bool, S)) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state[S]{model: init} },
		Step: func(from, in, out any) (bool, any) {
			s, i := from.(state[S]), in.(input)
			for _, id := range i.after {
				if !strings.Contains(s.past, id) {
					return false, s
				}
			}
			ok, next := step(s.model, i.request, out.(Answer))
			return ok, state[S]{next, s.past + i.id}
		},
		Equal:             func(a, b any) bool { return a.(state[S]).model == b.(state[S]).model },
		DescribeOperation: func(in, out any) string { return describe(in.(input).request, out.(Answer)) },
		DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s.(state[S]).model) },
	}
}

// operations converts the requests of a part to porcupine's form. cached selects the reads that
// come from a cache.
func operations(events []Event, cached func(request any) bool) []porcupine.Operation {
	out := make([]porcupine.Operation, len(events))
	named := map[int]bool{}
	for i, e := range events {
		in := input{request: e.Request}
		if cached(e.Request) {
			own := ownWrites(events, e)
			e.Call = 0
			for _, w := range own {
				named[w] = true
				in.after = append(in.after, mark(w))
				e.Call = max(e.Call, events[w].Call)
			}
		}
		out[i] = porcupine.Operation{ClientId: e.Client, Input: in, Output: e.Answer, Call: int64(e.Call), Return: int64(e.Return)}
		if e.Answer.Outcome == Unanswered {
			out[i].Return = int64(never)
		}
	}
	for i := range named {
		in := out[i].Input.(input)
		in.id = mark(i)
		out[i].Input = in
	}
	return out
}

func mark(i int) string { return fmt.Sprintf(";%d;", i) }

// ownWrites returns the writes to which the process had responded before the read.
func ownWrites(events []Event, read Event) []int {
	var own []int
	for i, e := range events {
		if e.Server != read.Server || e.Answer.Outcome != Done || e.Return >= read.Call {
			continue
		}
		switch e.Request.(type) {
		case Create, Update, Delete, CreateGroup, Change, DeleteGroup:
			own = append(own, i)
		}
	}
	return own
}
