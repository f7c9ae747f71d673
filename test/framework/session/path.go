// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"strconv"
	"strings"
)

// Lookup returns the value at a JSON path, as the package comment describes it, in a decoded
// document.
func Lookup(document any, path string) (value any, present bool) {
	value, present = document, true
	for path != "" {
		var key string
		key, path = next(path)
		switch {
		case key == "#":
			return length(value, present), true
		case !present:
		case strings.HasPrefix(key, "["):
			value, present = element(value, strings.Trim(key, "[]"))
		default:
			object, ok := value.(map[string]any)
			value, present = object[strings.Trim(key, `"`)]
			present = present && ok
		}
	}
	return value, present
}

// next splits the first step off a path: a name, a "quoted name", [index] or [key=value].
func next(path string) (key, rest string) {
	path = strings.TrimPrefix(path, ".")
	end := len(path)
	switch path[0] {
	case '"':
		end = 2 + strings.IndexByte(path[1:], '"')
	case '[':
		end = 1 + strings.IndexByte(path, ']')
	default:
		if i := strings.IndexAny(path, ".["); i >= 0 {
			end = i
		}
	}
	return path[:end], path[end:]
}

func length(value any, present bool) float64 {
	list, ok := value.([]any)
	if !present || !ok {
		return 0
	}
	return float64(len(list))
}

func element(value any, selector string) (any, bool) {
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	key, want, named := strings.Cut(selector, "=")
	if !named {
		i, err := strconv.Atoi(selector)
		if err != nil || i < 0 || i >= len(list) {
			return nil, false
		}
		return list[i], true
	}
	for _, e := range list {
		if o, ok := e.(map[string]any); ok && fmt.Sprint(o[key]) == want {
			return e, true
		}
	}
	return nil, false
}
