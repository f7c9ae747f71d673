// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// records are the users and pools in the portal's database.
type records struct {
	People map[string]personRecord // by user name
	Pools  map[string]poolRecord   // by name
}

// personRecord is a user's access, and the portal's state about it.
type personRecord struct {
	ID, Status, ManagedBy string
	Roles, Pools          []string // the roles are the effective ones; a pool is its id, its name and whether its owner granted the membership

	Owner, DeactivatedBy, Mark string
}

func (p personRecord) poolNames() []string {
	var out []string
	for _, pool := range p.Pools {
		name, _, _ := strings.Cut(pool, " | ")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

type poolRecord struct {
	ID, Description, Owner, Mark string
	Roles                        []string // and whether its owner granted it
}

// database opens the portal's database for reading.
func (c *company) database() (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+filepath.Join(c.env.Dir, "portal", "portal.db")+"?mode=ro&_pragma=busy_timeout(10000)")
}

// read reads all records by SQL, not through the portal's API or a status.
func (c *company) read() (*records, error) {
	db, err := c.database()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	tx, err := db.BeginTx(context.WithoutCancel(c.t.Context()), nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	all := &records{People: map[string]personRecord{}, Pools: map[string]poolRecord{}}
	if err := all.readPools(tx); err != nil {
		return nil, err
	}
	if err := all.readPeople(tx); err != nil {
		return nil, err
	}
	return all, nil
}

func (r *records) readPools(tx *sql.Tx) error {
	return each4(tx, `SELECT p.id, p.name, p.description || '', p.owner_name || ' ' || p.owner_binding || '|' || p.held || ' ' || p.held_state || ' ' || p.held_decision || '|' ||
		(SELECT COALESCE(GROUP_CONCAT(role || ' ' || granted), '') FROM (SELECT role, granted FROM pool_roles WHERE pool_id = p.id ORDER BY role)) FROM pools p`,
		func(id, name, description, rest string) {
			parts := strings.SplitN(rest, "|", 3)
			r.Pools[name] = poolRecord{ID: id, Description: description, Owner: parts[0], Mark: strings.TrimSpace(parts[1]), Roles: list(parts[2])}
		})
}

func (r *records) readPeople(tx *sql.Tx) error {
	names := map[string]string{} // by id
	err := each4(tx, `SELECT id, user_name, status || '|' || managed_by || '|' || owner_name || ' ' || owner_binding || '|' || deactivated_by, held || ' ' || held_state || ' ' || held_decision FROM accounts`,
		func(id, name, rest, mark string) {
			parts := strings.SplitN(rest, "|", 4)
			names[id] = name
			r.People[name] = personRecord{ID: id, Status: parts[0], ManagedBy: parts[1], Owner: parts[2], DeactivatedBy: parts[3], Mark: strings.TrimSpace(mark), Roles: []string{"ROLE_USER"}}
		})
	if err != nil {
		return err
	}
	add := func(id string, f func(*personRecord)) {
		p := r.People[names[id]]
		f(&p)
		r.People[names[id]] = p
	}
	err = each4(tx, `SELECT m.account_id, p.name, p.id, m.granted FROM memberships m JOIN pools p ON p.id = m.pool_id ORDER BY p.name`,
		func(account, name, id, granted string) {
			add(account, func(p *personRecord) { p.Pools = append(p.Pools, name+" | "+id+" "+granted) })
		})
	if err != nil {
		return err
	}
	err = each4(tx, `SELECT account_id, role, '', '' FROM account_roles UNION SELECT m.account_id, r.role, '', '' FROM memberships m JOIN pool_roles r ON r.pool_id = m.pool_id`,
		func(account, role, _, _ string) {
			add(account, func(p *personRecord) { p.Roles = append(p.Roles, role) })
		})
	for name, p := range r.People {
		slices.Sort(p.Roles)
		p.Roles = slices.Compact(p.Roles)
		r.People[name] = p
	}
	return err
}

// each4 calls f for each row of four texts.
func each4(tx *sql.Tx, query string, f func(a, b, c, d string)) error {
	rows, err := tx.QueryContext(context.Background(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c, d string
		if err := rows.Scan(&a, &b, &c, &d); err != nil {
			return err
		}
		f(a, b, c, d)
	}
	return rows.Err()
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// backupPortal backs up the portal while it serves.
func (c *company) backupPortal(file string) {
	c.t.Helper()
	if err := c.env.BackUpPortal(c.t.Context(), file); err != nil {
		c.t.Fatal(err)
	}
}

// before is the state that a procedure must not change: the records, and what each user of the
// sample sees after signing in.
type before struct {
	*records
	signIns map[string]string
}

// remember returns the current state, after it checked that this is the company's desired state.
func (c *company) remember() before {
	c.t.Helper()
	all, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range people {
		want, active := poolsOf(i)
		got := all.People[user(i)]
		if have := got.poolNames(); !slices.Equal(have, want) || (got.Status == "Active") != active || slices.Contains(got.Roles, "ROLE_MANAGER") != (slices.Contains(want, "Leads") || slices.Contains(want, "Heads")) {
			c.t.Errorf("%s is %+v, must be in %q, active: %v", user(i), got, want, active)
		}
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
	return before{records: all, signIns: c.signIns()}
}

// unchanged compares the records and the sign-ins with the earlier ones.
func (c *company) unchanged(b before, what string) {
	c.t.Helper()
	now, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	if diff := cmp.Diff(b.records, now); diff != "" {
		c.t.Errorf("%s: the portal's records changed (-before +now):\n%s", what, diff)
	}
	if diff := cmp.Diff(b.signIns, c.signIns()); diff != "" {
		c.t.Errorf("%s: what users see after signing in changed (-before +now):\n%s", what, diff)
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// keeps waits until the portal has the earlier records.
func (c *company) keeps(b before, what string) {
	c.t.Helper()
	eventually(c.t, what+": all records are as before", func(context.Context) error {
		now, err := c.read()
		if err != nil {
			return err
		}
		if diff := cmp.Diff(b.records, now); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// signIns returns what the users of the sample see after signing in.
func (c *company) signIns() map[string]string {
	c.t.Helper()
	out := map[string]string{}
	for _, i := range sample {
		seen, err := c.signIn(user(i))
		if err != nil {
			c.t.Fatalf("%s signs in: %v", user(i), err)
		}
		out[user(i)] = seen
	}
	return out
}

var (
	signInID = regexp.MustCompile(`name="id" value="([^"]+)"`)
	refusal  = regexp.MustCompile(`(?s)<div class="note bad"[^>]*>.*?<p>(.*?)</p>`)
	viewer   = regexp.MustCompile(`(?s)<div class="who">.*?<p>(\w+)</p>`)
	portalID = regexp.MustCompile(`<dt>Portal id</dt><dd class="mono">([^<]+)<`)
	roleTag  = regexp.MustCompile(`<span class="tag role">([^<]+)<`)
	poolItem = regexp.MustCompile(`(?s)<h2>Agent pools</h2>(.*?)</section>`)
	poolName = regexp.MustCompile(`<li>(?:<a [^>]*>|<span>)([^<]+)<`)
)

// signIn signs a user in through single sign-on, as a browser does, and returns the profile page's
// text, or the reason of the refusal.
func (c *company) signIn(userName string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	form, err := body(browser.Get(c.env.Values.PortalURL + "/sso/begin?return=/profile"))
	if err != nil {
		return "", err
	}
	id := signInID.FindStringSubmatch(form)
	if id == nil {
		return "", fmt.Errorf("single sign-on shows no form: %.300s", form)
	}
	profile, err := body(browser.PostForm(c.env.Values.SSOIssuer+"/login", url.Values{
		"id": {html.UnescapeString(id[1])}, "username": {userName}, "password": {c.env.Values.SSOPassword},
	}))
	if err != nil {
		return "", err
	}
	if why := refusal.FindStringSubmatch(profile); why != nil {
		return "refused: " + html.UnescapeString(why[1]), nil
	}
	who, account := viewer.FindStringSubmatch(profile), portalID.FindStringSubmatch(profile)
	if who == nil || account == nil {
		return "", fmt.Errorf("the page is no profile: %.2000s", profile)
	}
	all := []string{who[1], account[1]}
	for _, r := range roleTag.FindAllStringSubmatch(profile, -1) {
		all = append(all, r[1])
	}
	for _, section := range poolItem.FindAllString(profile, 1) {
		for _, p := range poolName.FindAllStringSubmatch(section, -1) {
			all = append(all, html.UnescapeString(p[1]))
		}
	}
	return strings.Join(all, ", "), nil
}

func body(response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
