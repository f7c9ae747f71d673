// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/portal/store"
)

//go:embed templates/*.html assets/*
var files embed.FS

// view is the data of a page: the frame's parts, and the page's own data as Body.
type view struct {
	Title   string
	Section string // section of the navigation
	Crumbs  []crumb
	Viewer  *viewer // nil if the visitor is not signed in
	Notice  string  // the result of the last action
	Problem string  // why the action was refused
	Secret  bool    // the page contains a secret: it is never compressed
	Body    any
}

type viewer struct {
	Name    string
	Manager bool
}

// crumb is one step of the breadcrumb. A step that is no page has no path.
type crumb struct {
	Name, Path string
	Here       bool // the page itself
}

// way returns the crumbs of a path: steps written as name or name|path, and the page itself.
func way(here string, steps ...string) []crumb {
	var crumbs []crumb
	for _, step := range steps {
		name, path, _ := strings.Cut(step, "|")
		crumbs = append(crumbs, crumb{Name: name, Path: path})
	}
	return append(crumbs, crumb{Name: here, Here: true})
}

// The crumbs that several pages share.
const (
	toSettings = "Settings|" + settingsPath
	toIAM      = "Identity and Access Management|" + iamPath
	toProfile  = "My profile|/profile"
	toUsers    = "User Management|/users"
	toPools    = "Agent Pools|/pools"
	toKeys     = "API Keys|/api-keys"
)

// pages contains the parsed templates by name, and the assets.
type pages struct {
	templates map[string]*template.Template
	assets    assets
}

func parsePages() (*pages, error) {
	p := &pages{templates: map[string]*template.Template{}, assets: assets{}}
	if err := p.assets.read(); err != nil {
		return nil, err
	}
	base, err := template.New("").Funcs(words).Funcs(template.FuncMap{"asset": p.assets.url}).ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/saml_fields.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" || name == "saml_fields" {
			continue
		}
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(files, file)
		}
		if err != nil {
			return nil, fmt.Errorf("parse the page %s: %w", name, err)
		}
		p.templates[name] = page
	}
	return p, nil
}

// show writes the page. If it returns an error, it has written nothing.
func (s *site) show(v *visit, status int, name string, w view) error {
	if v.session != nil {
		w.Viewer = &viewer{Name: displayName(v.session.Account), Manager: v.session.Account.IsManager()}
	}
	if w.Notice == "" {
		w.Notice = s.takeNotice(v)
	}
	var out bytes.Buffer
	if err := s.pages.templates[name].ExecuteTemplate(&out, "layout", w); err != nil {
		return fmt.Errorf("show the page %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	write(v.w, v.Request, status, revealed(out.Bytes()), w.Secret)
	return nil
}

// assets are the files that pages load. The address of each contains a hash of its content.
type assets map[string]asset

type asset struct {
	content []byte
	gzipped []byte
	version string
	media   string
}

func (a assets) read() error {
	entries, err := files.ReadDir("assets")
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		a[e.Name()] = asset{content, compressed(content, gzip.BestCompression, ""), hex.EncodeToString(sum[:6]), mime.TypeByExtension(path.Ext(e.Name()))}
	}
	return nil
}

func (a assets) url(name string) (string, error) {
	file, ok := a[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return "/assets/" + name + "?v=" + file.version, nil
}

func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Get("v") == file.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", file.media)
	w.Header().Add("Vary", "Accept-Encoding")
	if len(file.gzipped) < len(file.content) && acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.gzipped))
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.content))
}

// displayName returns the name of an account in lists.
func displayName(a *store.Account) string {
	if a.DisplayName != "" {
		return a.DisplayName
	}
	if full := strings.TrimSpace(a.GivenName + " " + a.FamilyName); full != "" {
		return full
	}
	return a.UserName
}
