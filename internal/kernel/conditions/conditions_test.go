// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// reasons reads every Reason… constant from the API package's source, so that none can be
// forgotten.
func reasons(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../../api/v1alpha1/conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Reason") {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out[v.Names[0].Name] = s
		}
		return true
	})
	return out
}

func TestEveryReasonHasAClassAndARemedy(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/conditions.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[Class]string{Good: "good", Progressing: "Reconciling", Waiting: "waiting", Invalid: "Stalled"}
	all := reasons(t)
	rows := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| (?:good|Reconciling|waiting|Stalled) \\|").FindAllStringSubmatch(string(page), -1) {
		rows[row[1]]++
	}
	if len(rows) != len(all) {
		t.Errorf("docs/reference/conditions.md has rows for %d reasons, there are %d", len(rows), len(all))
	}
	for name, reason := range all {
		if rows[reason] != 1 {
			t.Errorf("docs/reference/conditions.md has %d rows for %s", rows[reason], reason)
		}
		class, ok := Classes()[reason]
		if !ok {
			t.Errorf("%s has no class", name)
		}
		row := "| `" + reason + "` | " + words[class] + " |"
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/reference/conditions.md lacks the row %q", row)
		}
	}
}

func TestKstatusUnderstands(t *testing.T) {
	cases := map[string]struct {
		reason string
		leaves []Leaf
		want   status.Status
		ready  metav1.ConditionStatus
	}{
		"AllTrue":   {"If every leaf is True, the status is Current.", []Leaf{True("A", v1alpha1.ReasonOwned, "")}, status.CurrentStatus, metav1.ConditionTrue},
		"Progress":  {"A reason that resolves by itself is InProgress.", []Leaf{Unknown("A", v1alpha1.ReasonPortalUnreachable, "")}, status.InProgressStatus, metav1.ConditionUnknown},
		"Invalid":   {"A reason that an administrator must resolve by a change is Failed.", []Leaf{False("A", v1alpha1.ReasonInvalidFilter, "")}, status.FailedStatus, metav1.ConditionFalse},
		"Waiting":   {"A reason that waits for a decision is not Failed.", []Leaf{False("A", v1alpha1.ReasonLocalAccountExists, "")}, status.InProgressStatus, metav1.ConditionFalse},
		"FirstRule": {"Ready has the reason of the first leaf that is not True.", []Leaf{False("A", v1alpha1.ReasonNameTaken, ""), False("B", v1alpha1.ReasonProgressing, "")}, status.FailedStatus, metav1.ConditionFalse},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Compute(nil, 3, metav1.Now(), tc.leaves, []Leaf{False(v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly, "")})
			var list []any
			for _, c := range got {
				if c.Type == v1alpha1.ConditionDrifted {
					t.Error("an abnormal condition that is not True must be absent")
				}
				list = append(list, map[string]any{"type": c.Type, "status": string(c.Status), "reason": c.Reason, "message": c.Message})
			}
			if Find(got, v1alpha1.ConditionReady).Status != tc.ready {
				t.Errorf("%s Ready is %s", tc.reason, Find(got, v1alpha1.ConditionReady).Status)
			}
			u := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "iam.lightrun.com/v1alpha1", "kind": "ScimUser",
				"metadata": map[string]any{"name": "x", "generation": int64(3)},
				"status":   map[string]any{"observedGeneration": int64(3), "conditions": list},
			}}
			res, err := status.Compute(u)
			if err != nil || res.Status != tc.want {
				t.Errorf("%s kstatus says %v (%v), want %s", tc.reason, res, err, tc.want)
			}
		})
	}
}

func TestTransitionTimeMovesOnlyWithStatus(t *testing.T) {
	before, now := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(200, 0))
	have := Compute(nil, 1, before, []Leaf{True("A", v1alpha1.ReasonOwned, ""), False("B", v1alpha1.ReasonProgressing, "")}, nil)
	got := Compute(have, 2, now, []Leaf{True("A", v1alpha1.ReasonClaimed, "other words"), True("B", v1alpha1.ReasonOwned, "")}, nil)
	if c := Find(got, "A"); !c.LastTransitionTime.Equal(&before) || c.ObservedGeneration != 2 {
		t.Errorf("A: %+v", c)
	}
	if c := Find(got, "B"); !c.LastTransitionTime.Equal(&now) {
		t.Errorf("B: %+v", c)
	}
	if Find(got, v1alpha1.ConditionReconciling) != nil {
		t.Error("Reconciling must be absent when every leaf is True")
	}
}

func TestOneConditionOfEachType(t *testing.T) {
	on := func(s metav1.ConditionStatus, reason string) Leaf { return Leaf{"A", s, reason, reason} }
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	for name, tc := range map[string]struct {
		reason string
		leaves []Leaf
		want   string // reason of A and of Ready
	}{
		"FailsLater": {"A step that fails overrides an earlier success.", []Leaf{on(yes, "Synced"), on(unknown, "Progressing")}, "Progressing"},
		"KeepsFalse": {"A later error does not hide a reason that an administrator must resolve.", []Leaf{on(no, "InvalidFilter"), on(unknown, "Progressing")}, "InvalidFilter"},
		"NotUndone":  {"A success does not override a failure.", []Leaf{on(no, "InvalidFilter"), on(yes, "Synced")}, "InvalidFilter"},
		"LastOfSame": {"Of two leaves of one class, the last one counts.", []Leaf{on(no, "GuardHeld"), on(no, "RefusedByPortal")}, "RefusedByPortal"},
	} {
		t.Run(name, func(t *testing.T) {
			abnormal := []Leaf{True("Held", "GuardHeld", "1"), True("Held", "GuardHeld", "2"), True(v1alpha1.ConditionReady, "Ready", "")}
			got := Compute(nil, 1, metav1.Now(), tc.leaves, abnormal)
			seen := map[string]int{}
			for _, c := range got {
				seen[c.Type]++
			}
			for typ, n := range seen {
				if n != 1 {
					t.Errorf("%s: %s appears %d times", tc.reason, typ, n)
				}
			}
			if a, ready := Find(got, "A"), Find(got, v1alpha1.ConditionReady); a.Reason != tc.want || ready.Reason != tc.want {
				t.Errorf("%s: A says %s, Ready %s; want %s", tc.reason, a.Reason, ready.Reason, tc.want)
			}
			if Find(got, "Held").Message != "2" {
				t.Error("abnormal conditions follow the same rule")
			}
		})
	}
}

func TestLongMessagesAreCutBetweenCharacters(t *testing.T) {
	got := cut(strings.Repeat("é", MaxMessage))
	if len(got) > MaxMessage || !utf8.ValidString(got) {
		t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}
