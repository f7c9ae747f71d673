// SPDX-License-Identifier: Apache-2.0

// Package browser drives a real Chromium for tests of pages. It never skips: it uses the program in
// CHROMIUM, or the one on PATH, which `make test-programs` installs. Each Page has its own cookies,
// collects the errors of the page (exceptions, refused scripts and styles), and fails the test for
// them.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Patience is the maximum duration of one step on a page.
const Patience = 45 * time.Second

// Browser is a running headless Chromium.
type Browser struct{ ctx context.Context }

// Start starts a browser, which ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	program, err := Find()
	if err != nil {
		t.Fatalf("find Chromium: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("hide-scrollbars", true))
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...) // ends with the browser
	ctx, _ := chromedp.NewContext(allocator)                                    // ended by Cancel
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("stop Chromium: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return &Browser{ctx: ctx}
}

// Find returns the path of a Chromium: the one in CHROMIUM, or the one on PATH.
func Find() (string, error) {
	if named := os.Getenv("CHROMIUM"); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("CHROMIUM names %q, which cannot be run: %w", named, err)
		}
		return path, nil
	}
	if path := onPath(); path != "" {
		return path, nil
	}
	return "", errors.New("there is none; run make test-programs, or set CHROMIUM to the program")
}

func onPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Page is one tab with its own cookies.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu        sync.Mutex
	complains []string
	allowed   []string
}

// Open opens an empty page, which closes with the test.
func (b *Browser) Open(t testing.TB) *Page {
	t.Helper()
	p := &Page{t: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	p.ctx = ctx
	t.Cleanup(func() {
		cancel()
		for _, text := range p.complaints() {
			t.Errorf("the page has an error: %s", text)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a page: %v", err)
	}
	return p
}

// listen collects the errors that the browser reports for the page.
func (p *Page) listen(ev any) {
	var text string
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelError {
			return
		}
		text = e.Entry.Text + " " + e.Entry.URL
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complains = append(p.complains, text)
}

// Allow permits errors that contain this text, such as the browser's own about a 409 response.
func (p *Page) Allow(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, text)
}

func (p *Page) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
complaints:
	for _, text := range p.complains {
		for _, a := range p.allowed {
			if strings.Contains(text, a) {
				continue complaints
			}
		}
		all = append(all, text)
	}
	return all
}

// do runs one step within Patience, and prints the page's text if it fails.
func (p *Page) do(what string, step func(ctx context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	if err := step(ctx); err != nil {
		p.t.Fatalf("%s: %v\n--- the page shows:\n%s", what, err, p.now())
	}
}

func (p *Page) now() string {
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// Go loads the address and returns the HTTP status.
func (p *Page) Go(url string) (status int) {
	p.t.Helper()
	return p.load("load "+url, chromedp.Navigate(url))
}

// Follow clicks the element of the CSS selector, waits for the next page and returns its HTTP
// status.
func (p *Page) Follow(selector string) (status int) {
	p.t.Helper()
	return p.load("follow "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (p *Page) load(what string, step chromedp.Action[chromedp.Void]) (status int) {
	p.t.Helper()
	p.do(what, func(ctx context.Context) error {
		answer, err := chromedp.RunResponse(ctx, step)
		if err == nil && answer != nil {
			status = int(answer.Status)
		}
		return err
	})
	return status
}

// Click clicks the element of the CSS selector.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do("click "+selector, func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
	})
}

// Leave clicks the link of the CSS selector, waits until the browser asks whether to leave the page
// with unsaved changes, and answers.
func (p *Page) Leave(selector string, leave bool) {
	p.t.Helper()
	p.do("leave by "+selector, func(ctx context.Context) error {
		opened := chromedp.Events(ctx, page.JavascriptDialogOpening)
		clicked := make(chan error, 1)
		go func() {
			clicked <- chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
		}()
		for dialog, err := range opened {
			if err != nil {
				return err
			}
			if dialog.Type != page.DialogTypeBeforeunload {
				return fmt.Errorf("the page shows a dialog of type %s", dialog.Type)
			}
			_, err := chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: leave})
			return errors.Join(err, <-clicked)
		}
		return ctx.Err()
	})
}

// Type replaces the text of the field.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.do("type into "+selector, func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.Clear(chromedp.CSS(selector), chromedp.NodeVisible), chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
	})
}

// Shows waits until the selector matches a visible element that contains the text, also on a page
// that loads later.
func (p *Page) Shows(selector, text string) {
	p.t.Helper()
	script := fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.checkVisibility() && e.innerText.includes(%q))`, selector, text)
	p.do(fmt.Sprintf("wait for %q in %s", text, selector), func(ctx context.Context) error {
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		for {
			found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)) // an error means that the page is loading
			if found {
				return nil
			}
			select {
			case <-look.C:
			case <-ctx.Done():
				return errors.Join(ctx.Err(), err)
			}
		}
	})
}

// Wide sets the size of the window, and whether the user prefers dark pages.
func (p *Page) Wide(width, height int64, dark bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do("resize the window", func(ctx context.Context) error {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// Screenshot returns the whole page as PNG.
func (p *Page) Screenshot() (png []byte) {
	p.t.Helper()
	p.do("take a screenshot", func(ctx context.Context) (err error) {
		png, err = chromedp.Run(ctx, chromedp.FullScreenshot(100))
		return err
	})
	return png
}

// Ask evaluates a JavaScript expression on the page and returns its value.
func Ask[T any](p *Page, script string) (value T) {
	p.t.Helper()
	p.do("ask "+script, func(ctx context.Context) (err error) {
		value, err = chromedp.Run(ctx, chromedp.Evaluate[T](script))
		return err
	})
	return value
}

// Await evaluates a JavaScript expression that is a promise, and returns its result.
func Await[T any](p *Page, script string) (value T) {
	p.t.Helper()
	p.do("await "+script, func(ctx context.Context) (err error) {
		value, err = chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
		return err
	})
	return value
}

// Press presses the keys one after another, as on a keyboard: characters, or those of the package
// kb of chromedp.
func (p *Page) Press(keys string) {
	p.t.Helper()
	p.do("press keys", func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.KeyEvent(keys)) })
}

// Enter presses Enter, waits for the next page and returns its HTTP status.
func (p *Page) Enter() (status int) {
	p.t.Helper()
	return p.load("press Enter", chromedp.KeyEvent(kb.Enter))
}

// WithoutScript turns the scripts of pages off, as users and companies do. Tests can still Ask.
func (p *Page) WithoutScript() {
	p.t.Helper()
	p.do("turn scripts off", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}
