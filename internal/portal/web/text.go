// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"unicode"
)

// Names come from people and from identity providers. A name must not change the text around it
// (bidirectional controls), contain characters that cannot be seen, or look like another name
// without a hint.

// name returns a name for a page: isolated from the direction of the text around it, and with a
// hint if its letters imitate those of another script.
func name(s string) template.HTML {
	shown := template.HTML(`<bdi>` + template.HTMLEscapeString(s) + `</bdi>`)
	if hint := imitation(s); hint != "" {
		shown += template.HTML(` <span class="seal warn">` + template.HTMLEscapeString(hint) + `</span>`)
	}
	return shown
}

// revealed returns the page with each character that cannot be seen, or that changes the direction
// of the text, written as an escape such as \u202e. The values of form fields stay as they are, so
// that a form sends back what it was filled with.
func revealed(page []byte) []byte {
	if bytes.IndexFunc(page, hidden) < 0 {
		return page
	}
	const field, end = "<textarea", "</textarea"
	var out strings.Builder
	inTag, inField := false, false
	var last rune
	for at, r := range string(page) {
		switch r {
		case '<':
			inTag = true
			rest := page[at:]
			inField = bytes.HasPrefix(rest, []byte(field)) || inField && !bytes.HasPrefix(rest, []byte(end))
		case '>':
			inTag = false
		}
		if hidden(r) && !inTag && !inField && !joins(last, r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
		last = r
	}
	return []byte(out.String())
}

// hidden reports whether the character cannot be seen or changes the direction of the text.
func hidden(r rune) bool {
	switch r {
	case '\n', '\r', '\t':
		return false
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0': // letters and a symbol without a shape
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}

// joins reports whether r is a joiner after a letter of a script, or an emoji, that needs it.
func joins(last, r rune) bool {
	return (r == '\u200c' || r == '\u200d') && (unicode.In(last, unicode.Arabic, unicode.Devanagari, unicode.Bengali, unicode.Gujarati, unicode.Gurmukhi,
		unicode.Kannada, unicode.Malayalam, unicode.Oriya, unicode.Sinhala, unicode.Tamil, unicode.Telugu) || unicode.Is(unicode.So, last) || last == '\ufe0f')
}

// imitating are the scripts whose letters can look like those of another, with the letters that
// look like Latin ones.
var imitating = []struct {
	name      string
	letters   *unicode.RangeTable
	likeLatin string
}{
	{"Latin", unicode.Latin, ""},
	{"Cyrillic", unicode.Cyrillic, "АВЕЅЗІЈКМНОРСТУҮХҺԌԚԜаеѕіјорсуүхһԁӏԛԝѵ"},
	{"Greek", unicode.Greek, "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορυχϲϳ"},
	{"Armenian", unicode.Armenian, "ՍՕհոսցօ"},
	{"Cherokee", unicode.Cherokee, "ᎠᎡᎢᎥᎩᎪᎫᎬᎳᎷᎻᏀᏂᏃᏎᏒᏔᏚᏞᏟᏢᏦᏧ"},
}

// imitation returns why the text can be taken for another, and "" if it cannot: one word has
// letters of several scripts, or all letters that are not Latin look like Latin ones.
func imitation(text string) string {
	var likeLatin, others int
	found := map[string]bool{}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }) {
		var scripts []string
		for _, s := range imitating {
			n := 0
			for _, r := range word {
				if !unicode.Is(s.letters, r) {
					continue
				}
				n++
				if s.likeLatin != "" {
					others++
					found[s.name] = true
				}
				if strings.ContainsRune(s.likeLatin, r) {
					likeLatin++
				}
			}
			if n > 0 {
				scripts = append(scripts, s.name)
			}
		}
		if len(scripts) > 1 {
			return strings.Join(scripts, " and ") + " letters in one word"
		}
		if strings.ContainsFunc(word, styled) {
			return "letters of a special form"
		}
	}
	if others > 0 && others == likeLatin {
		for _, s := range imitating {
			if found[s.name] {
				return s.name + " letters that look like Latin"
			}
		}
	}
	return ""
}

// styled reports whether the character is a Latin letter in mathematical or full-width form.
func styled(r rune) bool {
	return r >= 0x1d400 && r <= 0x1d7ff || r >= 0xff21 && r <= 0xff5a
}
