// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestTOTP checks the codes of RFC 6238, appendix B, whose last six digits are those of a code with
// six digits.
func TestTOTP(t *testing.T) {
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totpCode([]byte("12345678901234567890"), totpStep(time.Unix(at, 0))); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	secret := NewTOTPSecret()
	key, _ := base32Text.DecodeString(secret)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	step := totpStep(now)
	for name, c := range map[string]struct {
		code string
		last int64
		ok   bool
	}{
		"now": {totpCode(key, step), 0, true}, "one period late": {totpCode(key, step-1), 0, true}, "one period early": {totpCode(key, step+1), 0, true},
		"two periods late": {totpCode(key, step-2), 0, false}, "two periods early": {totpCode(key, step+2), 0, false},
		"used": {totpCode(key, step), step, false}, "older than the used one": {totpCode(key, step-1), step, false}, "newer than the used one": {totpCode(key, step+1), step, true},
		"empty": {"", 0, false},
	} {
		if _, ok := acceptTOTP(secret, c.code, now, c.last); ok != c.ok {
			t.Errorf("%s: accepted %v", name, ok)
		}
	}
	link, err := url.Parse(TOTPURL("Management Portal", "bob demo@example.test", secret))
	if err != nil || link.Scheme != "otpauth" || link.Host != "totp" || link.Path != "/Management Portal:bob demo@example.test" ||
		link.Query().Get("secret") != secret || link.Query().Get("issuer") != "Management Portal" || strings.Contains(link.String(), "+") {
		t.Errorf("the QR code has %v (%v)", link, err)
	}
	if !validTOTPSecret(secret) || validTOTPSecret("") || validTOTPSecret("AAAA") || validTOTPSecret(secret+"A") {
		t.Error("secrets are not validated")
	}
}

// enrolled is bob, who has a second factor.
type enrolled struct {
	*Store
	t      *testing.T
	bob    *Account
	secret string
	codes  []string // for a lost device
	token  string   // of the session in which the second factor was set up
	now    func() time.Time
}

func enrol(t *testing.T, s *Store, now func() time.Time) *enrolled {
	t.Helper()
	bob, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test", Password: demoPassword, DirectRoles: []string{portalapi.RoleManager}})
	if err != nil {
		t.Fatal(err)
	}
	e := &enrolled{Store: s, t: t, bob: bob, secret: NewTOTPSecret(), now: now}
	e.token = signedIn(t, s, bob.UserName, demoPassword)
	if e.codes, e.token, err = s.AddSecondFactor(t.Context(), e.change(demoPassword), e.secret, e.code(0)); err != nil {
		t.Fatal(err)
	}
	return e
}

// change is a change of bob's in the session token.
func (e *enrolled) change(password string) OwnChange {
	e.t.Helper()
	session, err := e.Session(e.t.Context(), e.token)
	if err != nil {
		e.t.Fatal(err)
	}
	return OwnChange{ActorOf(session.Account, "demo-1"), session, password, time.Hour}
}

// code returns the code that bob's device shows, periods after now.
func (e *enrolled) code(periods int64) string {
	key, err := base32Text.DecodeString(e.secret)
	if err != nil {
		e.t.Fatal(err)
	}
	return totpCode(key, totpStep(e.now())+periods)
}

// password signs bob in with the password and returns the secret of the sign-in that waits.
func (e *enrolled) password() string {
	e.t.Helper()
	in, err := e.SignIn(e.t.Context(), PasswordSignIn{UserName: e.bob.UserName, Password: demoPassword, Network: "192.0.2.1"}, time.Hour)
	if err != nil || in.Pending == "" || in.Session != "" || in.Browser != "" {
		e.t.Fatalf("the password alone: %+v (%v)", in, err)
	}
	if _, err := e.Session(e.t.Context(), in.Pending); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
		e.t.Fatalf("the password alone is a session: %v", err)
	}
	return in.Pending
}

func TestSignInWithSecondFactor(t *testing.T) {
	off := false
	type attempt struct{ Code, Recovery string }
	for name, c := range map[string]struct {
		reason string
		act    func(e *enrolled, now *time.Time) error // after the password
		try    func(e *enrolled) attempt
		code   portalapi.Code
	}{
		"Code":      {reason: "The code that the device shows.", try: func(e *enrolled) attempt { return attempt{Code: e.code(0)} }},
		"Spaces":    {reason: "Apps show a space in the middle.", try: func(e *enrolled) attempt { return attempt{Code: e.code(0)[:3] + " " + e.code(0)[3:]} }},
		"Wrong":     {reason: "A wrong code.", try: func(e *enrolled) attempt { return attempt{Code: "x" + e.code(0)[1:]} }, code: portalapi.CodeForbidden},
		"None":      {reason: "No code.", try: func(*enrolled) attempt { return attempt{} }, code: portalapi.CodeForbidden},
		"Enrolment": {reason: "The code of the enrolment was used.", try: func(e *enrolled) attempt { return attempt{Code: e.code(-2)} }, code: portalapi.CodeForbidden},
		"Recovery":  {reason: "A code of the list.", try: func(e *enrolled) attempt { return attempt{Recovery: e.codes[3]} }},
		"Written": {reason: "Users write them in their way.", try: func(e *enrolled) attempt {
			return attempt{Recovery: " " + strings.ToUpper(strings.ReplaceAll(e.codes[3], "-", " "))}
		}},
		"NoSuch":   {reason: "No code of the list.", try: func(*enrolled) attempt { return attempt{Recovery: "aaaa-bbbb-cccc-dddd"} }, code: portalapi.CodeForbidden},
		"NotMixed": {reason: "A recovery code is no code of the device.", try: func(e *enrolled) attempt { return attempt{Code: e.codes[3]} }, code: portalapi.CodeForbidden},
		"TooLate": {reason: "The password was typed too long ago.", try: func(e *enrolled) attempt { return attempt{Code: e.code(0)} }, code: portalapi.CodeUnauthenticated,
			act: func(_ *enrolled, now *time.Time) error { *now = now.Add(PendingFor); return nil }},
		"Deactivated": {reason: "The account was changed meanwhile.", try: func(e *enrolled) attempt { return attempt{Code: e.code(0)} }, code: portalapi.CodeUnauthenticated,
			act: func(e *enrolled, _ *time.Time) error {
				_, err := e.UpdateAccount(e.t.Context(), SystemActor("test"), e.bob.ID, nil, AccountPatch{Active: &off})
				return err
			}},
		"Removed": {reason: "Without the second factor, the sign-in begins again.", try: func(e *enrolled) attempt { return attempt{Code: e.code(0)} }, code: portalapi.CodeUnauthenticated,
			act: func(e *enrolled, _ *time.Time) error {
				return e.RemoveSecondFactor(e.t.Context(), SystemActor("test"), e.bob.ID)
			}},
		"Guessed": {reason: "Five wrong codes, then one in three minutes.", try: func(e *enrolled) attempt { return attempt{Code: e.code(0)} }, code: portalapi.CodeRateLimited,
			act: func(e *enrolled, _ *time.Time) error {
				pending := e.password()
				for range 5 {
					if _, err := e.FinishSignIn(e.t.Context(), CodeSignIn{Pending: pending, Code: "guess"}, time.Hour); portalapi.CodeOf(err) != portalapi.CodeForbidden {
						return fmt.Errorf("a wrong code: %w", err)
					}
				}
				return nil
			}},
		"GuessedAndWaited": {reason: "The account is not locked.", try: func(e *enrolled) attempt { return attempt{Code: e.code(0)} },
			act: func(e *enrolled, now *time.Time) error {
				pending := e.password()
				for range 9 {
					_, err := e.FinishSignIn(e.t.Context(), CodeSignIn{Pending: pending, Code: "guess"}, time.Hour)
					if code := portalapi.CodeOf(err); code != portalapi.CodeForbidden && code != portalapi.CodeRateLimited {
						return err
					}
				}
				*now = now.Add(3 * time.Minute)
				return nil
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := signInStore(t)
			e := enrol(t, s, func() time.Time { return *now })
			*now = now.Add(time.Minute)
			pending := e.password()
			if c.act != nil {
				if err := c.act(e, now); err != nil {
					t.Fatal(err)
				}
			}
			try := c.try(e)
			in, err := s.FinishSignIn(t.Context(), CodeSignIn{Pending: pending, Code: try.Code, Recovery: try.Recovery, RequestID: "demo-2"}, time.Hour)
			if portalapi.CodeOf(err) != c.code || err != nil && c.code == "" {
				t.Fatalf("%s\ngot %v, want %q", c.reason, err, c.code)
			}
			events, eventsErr := s.AuditEvents(t.Context(), AuditFilter{TargetID: e.bob.ID}, 0, 1)
			if eventsErr != nil {
				t.Fatal(eventsErr)
			}
			byBoth := slices.Equal(events[0].Changes, []FieldChange{{Field: "method", To: MethodPasswordAndCode}}) && events[0].RequestID == "demo-2"
			if (c.code == "" || c.code == portalapi.CodeForbidden) && (!byBoth || events[0].Code != c.code) {
				t.Errorf("%s\naudited %+v", c.reason, events[0])
			}
			if c.code != "" {
				return
			}
			session, err := s.Session(t.Context(), in.Session)
			if err != nil || session.Account.ID != e.bob.ID || session.Method != MethodPasswordAndCode || in.Browser == "" {
				t.Errorf("%s\nsession %+v (%v)", c.reason, session, err)
			}
			if _, err := s.FinishSignIn(t.Context(), CodeSignIn{Pending: pending, Recovery: e.codes[0]}, time.Hour); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("one password signs in twice: %v", err)
			}
			if _, err := s.FinishSignIn(t.Context(), CodeSignIn{Pending: e.password(), Code: try.Code, Recovery: try.Recovery}, time.Hour); portalapi.CodeOf(err) != portalapi.CodeForbidden {
				t.Errorf("one code signs in twice: %v", err)
			}
		})
	}
}

// TestOneCodeAtTheSameTime uses one code in two sign-ins at the same time, on two replicas.
func TestOneCodeAtTheSameTime(t *testing.T) {
	onBoth(t, func(t *testing.T, replica func() *Store, now *clock) {
		replicas := []*Store{replica(), replica()}
		e := enrol(t, replicas[0], now.now)
		now.advance(time.Minute)
		for _, a := range []CodeSignIn{{Code: e.code(0)}, {Recovery: e.codes[0]}} {
			var together sync.WaitGroup
			errs := make([]error, 2)
			for i := range errs {
				a.Pending = e.password()
				together.Go(func() { _, errs[i] = replicas[i].FinishSignIn(t.Context(), a, time.Hour) })
			}
			together.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Errorf("%+v was used twice, or never: %v", a, errs)
			}
		}
		factor, err := replicas[1].SecondFactor(t.Context(), e.bob.ID)
		if err != nil || factor.RecoveryCodes != recoveryCodes-1 {
			t.Errorf("left %+v (%v)", factor, err)
		}
	})
}

func TestAddSecondFactor(t *testing.T) {
	secret := NewTOTPSecret()
	key, _ := base32Text.DecodeString(secret)
	for name, c := range map[string]struct {
		reason                 string
		password, secret, code string
		want                   portalapi.Code
	}{
		"Added":     {"", demoPassword, secret, "now", ""},
		"Password":  {"A session is not enough.", "guess", secret, "now", portalapi.CodeForbidden},
		"Code":      {"The secret must be in the user's device.", demoPassword, secret, "000000", portalapi.CodeInvalid},
		"NoCode":    {"The secret must be in the user's device.", demoPassword, secret, "", portalapi.CodeInvalid},
		"Secret":    {"A form without the secret.", demoPassword, "", "now", portalapi.CodeInvalid},
		"Weak":      {"A secret that the portal did not make.", demoPassword, "AAAA", "now", portalapi.CodeInvalid},
		"NotBase32": {"A secret that the portal did not make.", demoPassword, strings.Repeat("1", 32), "now", portalapi.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := signInStore(t)
			bob, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test", Password: demoPassword})
			if err != nil {
				t.Fatal(err)
			}
			here, there := signedIn(t, s, bob.UserName, demoPassword), signedIn(t, s, bob.UserName, demoPassword)
			session, err := s.Session(t.Context(), here)
			if err != nil {
				t.Fatal(err)
			}
			if c.code == "now" {
				c.code = totpCode(key, totpStep(*now))
			}
			codes, token, err := s.AddSecondFactor(t.Context(), OwnChange{ActorOf(bob, ""), session, c.password, time.Hour}, c.secret, c.code)
			if portalapi.CodeOf(err) != c.want || err != nil && c.want == "" {
				t.Fatalf("%s\ngot %v, want %q", c.reason, err, c.want)
			}
			events, eventsErr := s.AuditEvents(t.Context(), AuditFilter{TargetID: bob.ID}, 0, 1)
			if eventsErr != nil || events[0].Action != "second-factor.add" || events[0].Code != c.want || strings.Contains(fmt.Sprint(events), secret) {
				t.Errorf("%s\naudited %+v (%v)", c.reason, events, eventsErr)
			}
			factor, err := s.SecondFactor(t.Context(), bob.ID)
			if err != nil || (factor != nil) != (c.want == "") {
				t.Errorf("%s\nthe second factor is %+v (%v)", c.reason, factor, err)
			}
			if c.want != "" {
				return
			}
			if len(codes) != recoveryCodes || factor.RecoveryCodes != recoveryCodes || len(slices.Compact(slices.Sorted(slices.Values(codes)))) != recoveryCodes {
				t.Errorf("recovery codes %v, %d stored", codes, factor.RecoveryCodes)
			}
			for _, ended := range []string{here, there} {
				if _, err := s.Session(t.Context(), ended); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
					t.Errorf("a session without the second factor continues: %v", err)
				}
			}
			session, err = s.Session(t.Context(), token)
			if err != nil || session.Method != MethodPasswordAndCode {
				t.Fatalf("the browser is signed out: %+v (%v)", session, err)
			}
			if _, _, err := s.AddSecondFactor(t.Context(), OwnChange{ActorOf(bob, ""), session, demoPassword, time.Hour}, NewTOTPSecret(), ""); portalapi.CodeOf(err) != portalapi.CodeInvalid {
				t.Errorf("a second one: %v", err)
			}
		})
	}
}

func TestRemoveSecondFactor(t *testing.T) {
	none := ""
	for name, c := range map[string]struct {
		reason string
		act    func(e *enrolled) (token string, err error)
		code   portalapi.Code
	}{
		"Own": {reason: "The user gives the password.", act: func(e *enrolled) (string, error) {
			return e.RemoveOwnSecondFactor(e.t.Context(), e.change(demoPassword))
		}},
		"OwnWithoutPassword": {reason: "A session is not enough.", code: portalapi.CodeForbidden,
			act: func(e *enrolled) (string, error) { return e.RemoveOwnSecondFactor(e.t.Context(), e.change("guess")) }},
		"OwnAsManager": {reason: "A manager's session is not enough either.", code: portalapi.CodeForbidden,
			act: func(e *enrolled) (string, error) {
				return "", e.RemoveSecondFactor(e.t.Context(), e.change("").Actor, e.bob.ID)
			}},
		"Manager": {reason: "Another manager helps a user who lost the device.", act: func(e *enrolled) (string, error) {
			boss, err := e.AccountByName(e.t.Context(), "local@example.test")
			if err != nil {
				return "", err
			}
			return "", e.RemoveSecondFactor(e.t.Context(), ActorOf(boss, ""), e.bob.ID)
		}},
		"ByName": {reason: "A flag at the start.", act: func(e *enrolled) (string, error) {
			return "", e.RemoveSecondFactorByName(e.t.Context(), SystemActor("bootstrap"), "BOB@example.test")
		}},
		"User": {reason: "Users who are no managers do not.", code: portalapi.CodeForbidden, act: func(e *enrolled) (string, error) {
			return "", e.RemoveSecondFactor(e.t.Context(), Actor{Kind: Person, ID: "another", Name: "another"}, e.bob.ID)
		}},
		"PasswordRemoved": {reason: "The second factor is one of the password.", act: func(e *enrolled) (string, error) {
			_, err := e.UpdateAccount(e.t.Context(), SystemActor("test"), e.bob.ID, nil, AccountPatch{Password: &none})
			return "", err
		}},
		"Adopted": {reason: "The password ends, and the second factor with it.", act: func(e *enrolled) (string, error) {
			_, err := e.PutAccount(e.t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-bob", Revision: 1}, UserName: e.bob.UserName, Active: true, Adopt: &portalapi.Adopt{ID: e.bob.ID}})
			return "", err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := signInStore(t)
			e := enrol(t, s, func() time.Time { return *now })
			token, err := c.act(e)
			if portalapi.CodeOf(err) != c.code || err != nil && c.code == "" {
				t.Fatalf("%s\ngot %v, want %q", c.reason, err, c.code)
			}
			factor, err := s.SecondFactor(t.Context(), e.bob.ID)
			if err != nil || (factor == nil) != (c.code == "") {
				t.Errorf("%s\nthe second factor is %+v (%v)", c.reason, factor, err)
			}
			if c.code != "" {
				return
			}
			if _, err := s.Session(t.Context(), e.token); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("%s\nthe session continues: %v", c.reason, err)
			}
			if token != "" {
				if session, err := s.Session(t.Context(), token); err != nil || session.Method != MethodPassword {
					t.Errorf("the browser is signed out: %+v (%v)", session, err)
				}
			}
			n := 0
			if err := s.inSnapshot(t.Context(), func(c *conn) error { return c.row(`SELECT COUNT(*) FROM recovery_codes`).Scan(&n) }); err != nil || n != 0 {
				t.Errorf("%d recovery codes are left (%v)", n, err)
			}
		})
	}
}

func TestReplaceRecoveryCodes(t *testing.T) {
	s, now := signInStore(t)
	e := enrol(t, s, func() time.Time { return *now })
	before := e.codes
	if _, _, err := s.ReplaceRecoveryCodes(t.Context(), e.change("guess")); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("without the password: %v", err)
	}
	var err error
	if e.codes, e.token, err = s.ReplaceRecoveryCodes(t.Context(), e.change(demoPassword)); err != nil || len(e.codes) != recoveryCodes {
		t.Fatalf("got %v (%v)", e.codes, err)
	}
	e.change("") // the browser is still signed in
	if _, err := s.FinishSignIn(t.Context(), CodeSignIn{Pending: e.password(), Recovery: before[0]}, time.Hour); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("a former code: %v", err)
	}
	if _, err := s.FinishSignIn(t.Context(), CodeSignIn{Pending: e.password(), Recovery: e.codes[0]}, time.Hour); err != nil {
		t.Errorf("a new code: %v", err)
	}
}

func TestRequiredSecondFactor(t *testing.T) {
	for _, required := range []bool{false, true} {
		s, _ := signInStore(t)
		s.secondFactor = required
		user, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "user@example.test", Password: demoPassword})
		if err != nil {
			t.Fatal(err)
		}
		e := enrol(t, s, s.now)
		ada, err := s.AccountByName(t.Context(), "ada@example.test")
		if err != nil {
			t.Fatal(err)
		}
		throughSSO, err := s.StartSession(t.Context(), ada, MethodSSO, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			token      string
			unfinished bool
		}{
			"a manager with the password alone": {signedIn(t, s, "local@example.test", demoPassword), required},
			"a manager with the second factor":  {e.token, false},
			"a user who is no manager":          {signedIn(t, s, user.UserName, demoPassword), false},
			"a user through SSO":                {throughSSO, false},
		} {
			if session, err := s.Session(t.Context(), c.token); err != nil || session.Unfinished != c.unfinished {
				t.Errorf("required %v, %s: unfinished %v (%v)", required, name, session.Unfinished, err)
			}
		}
		roles := []string{portalapi.RoleManager}
		token := signedIn(t, s, user.UserName, demoPassword)
		if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), user.ID, nil, AccountPatch{DirectRoles: &roles}); err != nil {
			t.Fatal(err)
		}
		if session, err := s.Session(t.Context(), token); err != nil || session.Unfinished != required {
			t.Errorf("required %v, a user who became a manager: unfinished %v (%v)", required, session.Unfinished, err)
		}
	}
}
