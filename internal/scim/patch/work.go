// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"unicode/utf8"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
)

// maxWork limits the comparisons of one request, in comparisons of short ASCII texts. Folding a
// byte of other text costs about as much as one. A push of a user with 20 addresses in Chinese
// costs a few thousand; a hostile body of a MiB would cost billions.
const maxWork = 200_000

// charge adds the cost of comparing the elements of an attribute, before the comparison.
func (e *editor) charge(p path.Path, old any, op Operation) error {
	list, ok := old.([]any)
	if !ok {
		return nil
	}
	times := 1
	if p.Filter != nil {
		times += p.Filter.Terms()
	} else if given, ok := op.Value.([]any); ok {
		times += len(given)
	}
	for _, element := range list {
		if e.work += times * weight(element); e.work > maxWork {
			return scim.Failure(413,
				"The operations of this request compare too many values with each other. Nothing was changed; send fewer operations in one request.")
		}
	}
	return nil
}

// weight returns the cost of comparing one element: one, plus one for each byte of text that is not
// ASCII.
func weight(element any) int {
	n := 1
	switch v := element.(type) {
	case string:
		for i := range len(v) {
			if v[i] >= utf8.RuneSelf {
				return n + len(v)
			}
		}
	case scim.Object:
		for _, inner := range v {
			n += weight(inner) - 1
		}
	}
	return n
}
