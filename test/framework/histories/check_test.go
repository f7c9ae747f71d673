// SPDX-License-Identifier: Apache-2.0

package histories

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script builds a history by hand: each call of at is one request, with its start and end in
// milliseconds.
type script []Event

func at(from, to int, request any, answer Answer) Event {
	return Event{Call: time.Duration(from) * time.Millisecond, Return: time.Duration(to) * time.Millisecond, Server: "a/1", Request: request, Answer: answer}
}

// on returns the event at another process.
func on(server string, e Event) Event {
	e.Server = server
	return e
}

func text(s string) *string { return &s }

var (
	ada      = Person{Tag: "t1", Name: "ada", Active: true}
	adaB     = Person{Tag: "t1", Name: "ada", Title: "B", Active: true}
	adaC     = Person{Tag: "t1", Name: "ada", Nick: "C", Active: true}
	adaBC    = Person{Tag: "t1", Name: "ada", Title: "B", Nick: "C", Active: true}
	bob      = Person{Tag: "t2", Name: "bob", Active: true}
	adaToBob = Person{Tag: "t1", Name: "bob", Active: true}
	second   = Person{Tag: "t2", Name: "ADA", Active: true}
	inGroup  = Person{Tag: "t1", Name: "ada", Active: true, Groups: "g"}

	team  = Group{Tag: "g", Name: "team"}
	rival = Group{Tag: "h", Name: "TEAM"}

	made  = at(0, 1, Create{ada}, shows(ada))
	built = at(0, 1, CreateGroup{Group: team}, showsGroup(team))
	lost  = Answer{}
	done  = Answer{Outcome: Done}
	taken = Answer{Outcome: Taken}
	none  = Answer{Outcome: Gone}
)

func shows(p Person) Answer { return Answer{Outcome: Done, Person: &p} }

func showsGroup(g Group) Answer { return Answer{Outcome: Done, Group: &g} }

// listing returns the response to GetGroup.
func listing(tags ...string) Answer {
	return Answer{Outcome: Done, Group: &team, Members: append([]string{}, tags...)}
}

// TestCheck tests the checker itself: it accepts permitted behaviour, and finds every way of losing
// or duplicating a write, in the right part.
func TestCheck(t *testing.T) {
	title, nick := Update{Tag: "t1", Title: text("B")}, Update{Tag: "t1", Nick: text("C")}
	matched := Update{Tag: "t1", Nick: text("C"), If: &ada}
	toBob := Update{Tag: "t1", Name: text("bob")}
	staff, toStaff := Group{Tag: "g", Name: "staff"}, Change{Group: "g", Name: text("staff")}
	tests := map[string]struct {
		reason string
		events script
		want   string // the part that can't be explained; "" if there is none
	}{
		"Life":              {"A user is made, changed, read and deleted.", script{made, at(2, 3, title, shows(adaB)), at(4, 5, Get{"t1"}, shows(adaB)), at(6, 7, Delete{"t1"}, done), at(8, 9, Get{"t1"}, none), at(8, 9, Find{"ada"}, none)}, ""},
		"LostUpdate":        {"An answered change disappeared.", script{made, at(2, 3, title, shows(adaB)), at(4, 5, Get{"t1"}, shows(ada))}, "user t1"},
		"LostRace":          {"One of two changes of different attributes overwrote the other.", script{made, at(2, 5, title, shows(adaB)), at(2, 5, nick, shows(adaC)), at(6, 7, Get{"t1"}, shows(adaC))}, "user t1"},
		"WonRace":           {"Two concurrent changes of different attributes both took effect.", script{made, at(2, 5, title, shows(adaB)), at(2, 5, nick, shows(adaBC)), at(6, 7, Get{"t1"}, shows(adaBC))}, ""},
		"LostUser":          {"A user whose POST was answered disappeared.", script{made, at(2, 3, Get{"t1"}, none)}, "user t1"},
		"Undead":            {"A deleted user appeared again.", script{made, at(2, 3, Delete{"t1"}, done), at(4, 5, Get{"t1"}, shows(ada))}, "user t1, name ada"},
		"DeletedTwice":      {"Two deletions of one user both succeeded.", script{made, at(2, 5, Delete{"t1"}, done), at(2, 5, Delete{"t1"}, done)}, "user t1"},
		"OldVersion":        {"A change under If-Match was applied to another version.", script{made, at(2, 3, title, shows(adaB)), at(4, 5, matched, shows(adaBC))}, "user t1"},
		"StaleVersion":      {"A change under If-Match of an old version is refused.", script{made, at(2, 3, title, shows(adaB)), at(4, 5, matched, Answer{Outcome: Stale}), at(6, 7, Get{"t1"}, shows(adaB))}, ""},
		"UnansweredApplied": {"A change that was not answered takes effect later.", script{made, at(2, 3, title, lost), at(4, 5, Get{"t1"}, shows(ada)), at(6, 7, Get{"t1"}, shows(adaB))}, ""},
		"UnansweredTwice":   {"An unanswered change appeared, disappeared and appeared again.", script{made, at(2, 3, title, lost), at(4, 5, Get{"t1"}, shows(adaB)), at(6, 7, Get{"t1"}, shows(ada)), at(8, 9, Get{"t1"}, shows(adaB))}, "user t1"},
		"UnansweredCreate":  {"A user whose POST was not answered is found, and taken back.", script{at(0, 1, Create{ada}, lost), at(2, 3, Find{"ada"}, shows(ada)), at(4, 5, Find{"ada"}, none), at(6, 7, Create{second}, shows(second))}, ""},
		"BuiltOn":           {"A user whose POST was not answered was changed with success and then taken back.", script{at(0, 1, Create{ada}, lost), at(2, 3, Find{"ada"}, shows(ada)), at(4, 5, title, shows(adaB)), at(6, 7, Get{"t1"}, none)}, "user t1"},
		"BuiltOnName":       {"A user whose POST was not answered was changed with success, and then its name went to another user.", script{at(0, 1, Create{ada}, lost), at(2, 3, Find{"ada"}, shows(ada)), at(4, 5, title, shows(adaB)), at(6, 7, Create{second}, shows(second))}, "name ada"},

		"RetriedPost":    {"A repeated POST is refused as taken, and finds the first user.", script{at(0, 1, Create{ada}, lost), at(2, 3, Create{second}, taken), at(4, 5, Find{"ada"}, shows(ada))}, ""},
		"Doubled":        {"A repeated POST made a second user.", script{made, at(2, 3, Create{second}, shows(second))}, "name ada"},
		"DoubledRace":    {"Two concurrent POSTs both got the name, in different case.", script{at(0, 5, Create{ada}, shows(ada)), at(0, 5, Create{second}, shows(second))}, "name ada"},
		"FreeName":       {"A free name is refused.", script{at(0, 1, Create{ada}, taken)}, "name ada"},
		"FreeAtOnce":     {"A deleted user's name is refused.", script{made, at(2, 3, Delete{"t1"}, done), at(4, 5, Create{second}, taken)}, "name ada"},
		"Reused":         {"A deleted user's name is used again.", script{made, at(2, 3, Delete{"t1"}, done), at(4, 5, Create{second}, shows(second))}, ""},
		"NotFound":       {"A user is not found by name.", script{made, at(2, 3, Find{"ada"}, none)}, "name ada"},
		"Renamed":        {"A renamed user's former name may be kept for a while, and the new one belongs to the user.", script{made, at(2, 3, toBob, shows(adaToBob)), at(4, 5, Create{second}, taken), at(6, 7, Create{second}, shows(second)), at(8, 9, Create{bob}, taken)}, ""},
		"RenamedOnto":    {"A user got a name that another has.", script{made, at(0, 1, Create{bob}, shows(bob)), at(2, 3, toBob, shows(adaToBob))}, "name bob"},
		"RenamedForNone": {"A rename to a free name is refused.", script{made, at(2, 3, toBob, taken)}, "name bob"},
		"TwoUsers":       {"A user is shown under a name that another user got in between.", script{made, at(2, 3, toBob, lost), at(4, 5, Create{bob}, shows(bob)), at(6, 7, Get{"t1"}, shows(adaToBob)), at(8, 9, Get{"t2"}, shows(bob))}, "name bob"},

		"CachedOld":     {"The search of another replica is behind a write, which is permitted.", script{made, at(2, 3, title, shows(adaB)), on("b/1", at(4, 5, Search{"t1"}, shows(ada)))}, ""},
		"CachedOwn":     {"A replica's search is behind its own write.", script{made, at(2, 3, title, shows(adaB)), at(4, 5, Search{"t1"}, shows(ada))}, "user t1"},
		"CachedUnknown": {"A search shows a state that never existed.", script{made, on("b/1", at(4, 5, Search{"t1"}, shows(adaC)))}, "user t1"},

		"Member":             {"A user joins and leaves a group.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, Get{"t1"}, shows(inGroup)), at(6, 7, Change{Group: "g", Remove: []string{"t1"}}, done), at(8, 9, Get{"t1"}, shows(ada))}, ""},
		"DroppedMember":      {"An acknowledged addition is missing.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, Get{"t1"}, shows(ada))}, "member t1 of g"},
		"DroppedByOther":     {"An addition of one user removed another user.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(2, 3, Change{Group: "g", Add: []string{"t2"}}, done), on("b/1", at(4, 5, Change{Group: "g", Add: []string{"t3"}}, done)), at(6, 7, Get{"t1"}, shows(ada))}, "member t1 of g"},
		"Replaced":           {"A replacement removes users that are not listed.", script{built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, Change{Group: "g", Replace: true, Add: []string{"t2"}}, done), at(6, 7, GetGroup{"g"}, listing("t2"))}, ""},
		"NotReplaced":        {"A replacement left an unlisted user in the group.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, Change{Group: "g", Replace: true, Add: []string{"t2"}}, done), at(6, 7, Get{"t1"}, shows(inGroup))}, "member t1 of g"},
		"MembersBehind":      {"The list of members of another replica is behind, which is not permitted.", script{built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), on("b/1", at(4, 5, GetGroup{"g"}, listing()))}, "member t1 of g"},
		"GroupsBehind":       {"Another replica shows a user without a group that the user joined just before, which is permitted.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), on("b/1", at(4, 5, Get{"t1"}, shows(ada)))}, ""},
		"GroupsBehindOwn":    {"A replica shows a user without a group that this replica added the user to.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, Search{"t1"}, shows(ada))}, "member t1 of g"},
		"MembersBehindOwn":   {"The list of members of the replica that changed them is behind, which is not permitted.", script{built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, GetGroup{"g"}, listing())}, "member t1 of g"},
		"UnansweredAddition": {"An unanswered addition may be applied or not.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, lost), at(4, 5, Get{"t1"}, shows(ada)), at(6, 7, Get{"t1"}, shows(inGroup))}, ""},
		"MemberFromNowhere":  {"A user is in a group without an addition.", script{made, built, at(2, 3, Change{Group: "g", Remove: []string{"t1"}}, done), at(4, 5, Get{"t1"}, shows(inGroup))}, "member t1 of g"},

		"GroupLife":             {"A group is made, renamed, read, found and deleted, and its name is used again.", script{built, at(2, 3, toStaff, done), at(4, 5, GetGroup{"g"}, showsGroup(staff)), at(4, 5, FindGroup{"STAFF"}, showsGroup(staff)), at(6, 7, DeleteGroup{"g"}, done), at(8, 9, GetGroup{"g"}, none), at(8, 9, CreateGroup{Group: Group{"h", "staff"}}, done)}, ""},
		"GroupLost":             {"An acknowledged group is gone.", script{built, at(2, 3, GetGroup{"g"}, none)}, "group g"},
		"GroupNotFound":         {"A group is not found by name.", script{built, at(2, 3, FindGroup{"team"}, done)}, "group name team"},
		"GroupDoubled":          {"A repeated POST made a second group of the name.", script{built, at(2, 3, CreateGroup{Group: rival}, done)}, "group name team"},
		"GroupRetried":          {"A repeated POST of a group is refused as taken, and finds the first group.", script{at(0, 1, CreateGroup{Group: team}, lost), at(2, 3, CreateGroup{Group: rival}, taken), at(4, 5, FindGroup{"team"}, showsGroup(team))}, ""},
		"GroupBuiltOn":          {"A group whose POST was not answered was changed with success and then taken back.", script{at(0, 1, CreateGroup{Group: team}, lost), at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, GetGroup{"g"}, none)}, "group g"},
		"GroupNameKept":         {"A deleted group's name is refused.", script{built, at(2, 3, DeleteGroup{"g"}, done), at(4, 5, CreateGroup{Group: rival}, taken)}, "group name team"},
		"GroupRenamedOnto":      {"A group got a name that another has.", script{built, at(0, 1, CreateGroup{Group: Group{"h", "staff"}}, done), at(2, 3, toStaff, done)}, "group name staff"},
		"GroupRenameRefused":    {"A rename to a taken name is refused, and changes nothing.", script{built, at(0, 1, CreateGroup{Group: Group{"h", "staff"}}, done), at(2, 3, toStaff, taken), at(4, 5, GetGroup{"g"}, showsGroup(team))}, ""},
		"GroupRenameLost":       {"An answered rename is gone.", script{built, at(2, 3, toStaff, done), at(4, 5, GetGroup{"g"}, showsGroup(team))}, "group g, group name team"},
		"GroupRenameUnknown":    {"A rename that was not answered is there, late.", script{built, at(2, 3, toStaff, lost), at(4, 5, GetGroup{"g"}, showsGroup(team)), at(6, 7, GetGroup{"g"}, showsGroup(staff))}, ""},
		"GroupRenamedMeanwhile": {"The answer to a change shows a rename that came after it.", script{built, at(2, 9, Change{Group: "g", Add: []string{"t1"}}, showsGroup(staff)), at(3, 5, toStaff, done)}, ""},
		"GroupUndead":           {"A member is put into a group that was deleted.", script{built, at(2, 3, DeleteGroup{"g"}, done), at(4, 5, Change{Group: "g", Add: []string{"t1"}}, done)}, "group g, member t1 of g"},
		"GroupMembersMade":      {"A group is made with members.", script{made, at(2, 3, CreateGroup{Group: team, Members: []string{"t1"}}, showsGroup(team)), at(4, 5, Get{"t1"}, shows(ada))}, "member t1 of g"},
		"GroupMembersUnknown":   {"A POST of a group that was not answered made it with some of its members.", script{made, at(2, 3, CreateGroup{Group: team, Members: []string{"t1", "t2"}}, lost), at(4, 5, GetGroup{"g"}, listing("t2"))}, "member t1 of g"},
		"GroupMembersWhole":     {"A POST of a group that was not answered made it, or not yet.", script{made, at(2, 3, CreateGroup{Group: team, Members: []string{"t1", "t2"}}, lost), at(4, 5, Get{"t1"}, shows(ada)), at(6, 7, GetGroup{"g"}, listing("t1", "t2"))}, ""},
		"GroupHalfDeleted":      {"A DELETE that was not answered took out the members and left the group.", script{made, built, at(2, 3, Change{Group: "g", Add: []string{"t1"}}, done), at(4, 5, DeleteGroup{"g"}, lost), at(6, 7, GetGroup{"g"}, listing())}, "member t1 of g"},
		"GroupRefusedAddition":  {"An addition with a refused rename added a user.", script{made, built, at(0, 1, CreateGroup{Group: Group{"h", "staff"}}, done), at(2, 3, Change{Group: "g", Name: text("staff"), Add: []string{"t1"}}, taken), at(4, 5, Get{"t1"}, shows(inGroup))}, "member t1 of g"},
		"GroupUnknownToCache":   {"A replica that does not know of a new group yet doesn't show it with its people.", script{made, at(2, 3, CreateGroup{Group: team, Members: []string{"t1"}}, showsGroup(team)), on("b/1", at(4, 5, Get{"t1"}, shows(ada)))}, ""},
		"GroupGoneFromCache":    {"A replica may show a deleted group for as long as its cache does.", script{made, at(2, 3, CreateGroup{Group: team, Members: []string{"t1"}}, showsGroup(team)), at(4, 7, DeleteGroup{"g"}, done), on("b/1", at(8, 9, Get{"t1"}, shows(inGroup)))}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			result := Check(tt.events, time.Minute)
			var found []string
			for _, v := range result.Violations {
				found = append(found, v.Part)
			}
			if got := strings.Join(found, ", "); got != tt.want {
				t.Errorf("%s\nThe checker reports: %q, must be %q\n%v", tt.reason, got, tt.want, result.Violations)
			}
		})
	}
}

// TestViolation: a violation can be printed and rendered.
func TestViolation(t *testing.T) {
	h := Begin()
	h.Add(Event{Call: h.Now(), Server: "a/1", Request: Create{ada}, Answer: shows(ada)})
	h.Add(Event{Call: h.Now(), Client: 1, Server: "b/1", Request: Update{Tag: "t1", Title: text("B"), If: &ada}, Answer: shows(adaB)})
	h.Add(Event{Call: h.Now(), Server: "a/1", Request: Get{"t1"}, Answer: shows(ada)})
	result := Check(h.Events(), time.Minute)
	if len(result.Violations) != 1 || result.Operations != 3 || result.Parts != 2 {
		t.Fatalf("got %+v", result)
	}
	v := result.Violations[0]
	for _, want := range []string{"user t1 can't be explained", "client 1 at b/1: Update[t1 title=B if={Tag:t1 ", "→ done {Tag:t1 Name:ada Title:B "} {
		if !strings.Contains(v.String(), want) {
			t.Errorf("%s\ndoes not say %q", v, want)
		}
	}
	file := filepath.Join(t.TempDir(), "part.html")
	if err := v.Write(file); err != nil {
		t.Fatal(err)
	}
	if page, err := os.ReadFile(file); err != nil || !strings.Contains(string(page), "Update") {
		t.Errorf("the page does not show the history: %v", err)
	}
}
