// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDecodeJSON is RFC 8259 as far as SCIM uses it.
func TestDecodeJSON(t *testing.T) {
	in := "\ufeff" + ` {"s":"a\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00é", "i":-12, "big":9223372036854775808, "f":1.5e1,
		"t":true, "f2":false, "n":null, "o":{}, "a":[ ], "l":[1,[2],{"x":"y"}], "$ref":"r"} `
	got, err := DecodeJSON([]byte(in), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := Object{
		"s": "a\"\\/\b\f\n\r\tAé😀é", "i": int64(-12), "big": 9.223372036854775808e18, "f": 15.0,
		"t": true, "f2": false, "n": nil, "o": Object{}, "a": []any{}, "l": []any{int64(1), []any{int64(2)}, Object{"x": "y"}}, "$ref": "r",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	many := "{"
	for i := range 40 {
		many += fmt.Sprintf(`"a%d":1,`, i)
	}
	cases := map[string]struct{ reason, in, says string }{
		"Empty":           {"", "", "The body is empty"},
		"Blank":           {"", " \n", "The body is empty"},
		"NotAnObject":     {"A resource that is not an object is refused.", `[1]`, "not a JSON object"},
		"Trailing":        {"", `{} {}`, "line 1, column 4: there is data after"},
		"Unclosed":        {"", `{"a":1`, "a comma or } is missing"},
		"UnclosedList":    {"", `{"a":[1`, "a comma or ] is missing"},
		"EarlyEnd":        {"", `{"a":`, "ends unexpectedly"},
		"NoColon":         {"", `{"a" 1}`, "a colon is missing"},
		"NoName":          {"", `{1:1}`, "a name in double quotes"},
		"TrailingComma":   {"", `{"a":1,}`, "a name in double quotes"},
		"Position":        {"An error names the position in the body.", "{\n  \"a\": x}", "line 2, column 8"},
		"Duplicate":       {"", `{"a":1,"a":2}`, `"a" occurs twice`},
		"DuplicateCase":   {"A name that occurs twice in different case is refused (RFC 7643 §2.1).", `{"userName":"a","USERNAME":"b"}`, `"USERNAME" occurs twice`},
		"DuplicateNested": {"", `{"x":[{"a":1,"A":2}]}`, `"A" occurs twice`},
		"DuplicateMany":   {"A name that occurs twice among many names is refused.", many + `"A7":1}`, `"A7" occurs twice`},
		"Word":            {"", `{"a":nul}`, "a value is missing"},
		"Quote":           {"", `{"a":'x'}`, "a value is missing"},
		"Zero":            {"", `{"a":01}`, "the number is malformed"},
		"Minus":           {"", `{"a":-}`, "the number is malformed"},
		"Fraction":        {"", `{"a":1.}`, "the number is malformed"},
		"Exponent":        {"", `{"a":1e}`, "the number is malformed"},
		"Infinite":        {"", `{"a":1e999}`, "the number is too large"},
		"Escape":          {"", `{"a":"\x"}`, "contains an invalid escape"},
		"ShortEscape":     {"", `{"a":"\u12"}`, "contains an invalid escape"},
		"LoneSurrogate":   {"A lone surrogate is refused: it is no character.", `{"a":"\ud800x"}`, "contains an invalid escape"},
		"Control":         {"", "{\"a\":\"x\ny\"}", "control character"},
		"ControlLater":    {"", "{\"a\":\"\\n\ty\"}", "control character"},
		"OpenString":      {"", `{"a":"x`, "not closed"},
		"OpenEscaped":     {"", `{"a":"\n`, "not closed"},
		"UTF8":            {"", "{\"a\":\"\xff\"}", "not valid UTF-8"},
		"Deep":            {"A body that is nested too deeply is refused.", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "nested too deep"},
		"DeepLists":       {"", `{"a":` + strings.Repeat("[", 100000), "nested too deep"},
		"Huge":            {"A body that is too large is refused.", `{"a":[` + strings.Repeat("0,", 300_000) + "0]}", "too many values"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeJSON([]byte(tc.in), Limits{})
			var e *Error
			if !errors.As(err, &e) || e.Status != 400 || e.Type != InvalidSyntax || !strings.Contains(e.Detail, tc.says) {
				t.Errorf("%s got %v, want a 400 invalidSyntax that says %q", tc.reason, err, tc.says)
			}
		})
	}
}

func TestDecodeJSONLimits(t *testing.T) {
	if _, err := DecodeJSON([]byte(`{"a":[1]}`), Limits{Depth: 2, Values: 3}); err != nil {
		t.Error(err)
	}
	if _, err := DecodeJSON([]byte(`{"a":[[1]]}`), Limits{Depth: 2}); err == nil {
		t.Error("depth 3 passed a limit of 2")
	}
	if _, err := DecodeJSON([]byte(`{"a":[1,2]}`), Limits{Values: 3}); err == nil {
		t.Error("4 values passed a limit of 3")
	}
}

// FuzzDecodeJSON: what this reader accepts, encoding/json reads alike.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, `{"a":[true,false,null,"x",-1.5e3,{}]}`, `{"userName":"a","USERNAME":"b"}`, `{"a":"\ud83d\ude00\u0000\/"}`,
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"emails":[{"value":"x","primary":true}]}`, `{"a":9223372036854775808}`, `[`, ` {"\u0061":-0} `,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := DecodeJSON(data, Limits{})
		if err != nil {
			return
		}
		var want any
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("%q is no JSON: %v", data, err)
		}
		a, errA := json.Marshal(floats(got))
		b, errB := json.Marshal(floats(want))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%q\nhere:          %s\nencoding/json: %s", data, a, b)
		}
		if !Equal(got, got) {
			t.Errorf("%s is not equal to itself", a)
		}
	})
}

// floats makes every number a float64, as encoding/json does, and zero positive.
func floats(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v + 0
	case Object:
		out := Object{}
		for k, e := range v {
			out[k] = floats(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = floats(e)
		}
		return out
	}
	return v
}

func TestErrorJSON(t *testing.T) {
	cases := map[string]struct {
		err  *Error
		want string
	}{
		"Typed":   {BadRequest(InvalidFilter, "no %s", "x"), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"invalidFilter","detail":"no x"}`},
		"Untyped": {NotFound("no such user"), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404","detail":"no such user"}`},
		"Unique":  {Conflict("taken"), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness","detail":"taken"}`},
		"Other":   {Failure(503, "later"), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"503","detail":"later"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(tc.err)
			if err != nil || string(got) != tc.want {
				t.Errorf("got %s, %v, want %s (RFC 7644 §3.12: status is a string)", got, err, tc.want)
			}
		})
	}
	if got := BadRequest(NoTarget, "x").Error(); got != "400 noTarget: x" {
		t.Error(got)
	}
	if got := NotFound("x").Error(); got != "404: x" {
		t.Error(got)
	}
}

func TestEqual(t *testing.T) {
	a := Object{"a": []any{Object{"b": int64(1)}, "x", true}, "c": Object{}}
	for name, tc := range map[string]struct {
		b    any
		want bool
	}{
		"Same":        {Object{"c": Object{}, "a": []any{Object{"b": int64(1)}, "x", true}}, true},
		"Order":       {Object{"c": Object{}, "a": []any{"x", Object{"b": int64(1)}, true}}, false},
		"Shorter":     {Object{"c": Object{}, "a": []any{Object{"b": int64(1)}}}, false},
		"OtherName":   {Object{"d": Object{}, "a": []any{Object{"b": int64(1)}, "x", true}}, false},
		"OtherKind":   {Object{"c": []any{}, "a": "x"}, false},
		"NotAnObject": {"x", false},
		"Nil":         {nil, false},
	} {
		if Equal(a, tc.b) != tc.want || Equal(tc.b, a) != tc.want {
			t.Errorf("%s: Equal is not %v in both directions", name, tc.want)
		}
	}
	for _, v := range []any{nil, "", []any{}, Object{}} {
		if !Unassigned(v) {
			t.Errorf("%v is unassigned (RFC 7643 §2.5)", v)
		}
	}
	for _, v := range []any{false, int64(0), " ", []any{nil}} {
		if Unassigned(v) {
			t.Errorf("%v is a value", v)
		}
	}
}
