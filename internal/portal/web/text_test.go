// SPDX-License-Identifier: Apache-2.0

package web

import "testing"

func TestImitation(t *testing.T) {
	for name, c := range map[string]struct{ reason, text, want string }{
		"plain":             {"Most names.", "Ada Lovelace", ""},
		"accents":           {"Latin letters with marks are Latin.", "Zoë Žižek", ""},
		"Russian":           {"A name in its own script imitates nothing.", "Иван Петров", ""},
		"Russian and Latin": {"Two words in two scripts are a usual transliteration.", "Иван Petrov", ""},
		"Russian address":   {"The domain is Latin by nature.", "иван@example.test", ""},
		"Greek":             {"As Russian.", "Γιώργος Παπαδόπουλος", ""},
		"Japanese":          {"Three scripts in one name are normal, and none looks like Latin.", "山田 たろう タロウ", ""},
		"one letter":        {"The classic: аdmin with a Cyrillic а.", "аdmin@example.test", "Latin and Cyrillic letters in one word"},
		"whole word":        {"All letters of the name have a Latin look-alike.", "асе@example.test", "Cyrillic letters that look like Latin"},
		"Greek omicron":     {"Greek does it too.", "bοb", "Latin and Greek letters in one word"},
		"mathematical":      {"NFKC makes admin of it.", "𝐚𝐝𝐦𝐢𝐧", "letters of a special form"},
		"full width":        {"As the mathematical letters.", "ａｄｍｉｎ", "letters of a special form"},
		"empty":             {"No letter, no imitation.", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := imitation(c.text); got != c.want {
				t.Errorf("imitation(%q) = %q, want %q\n%s", c.text, got, c.want, c.reason)
			}
		})
	}
}

func TestRevealed(t *testing.T) {
	for name, c := range map[string]struct{ reason, page, want string }{
		"plain":       {"Most pages.", "<p>Zoë\n</p>", "<p>Zoë\n</p>"},
		"override":    {"A right-to-left override turns the rest of the line.", "<p>\u202enimda</p>", `<p>\u202enimda</p>`},
		"zero width":  {"It makes two names that look the same.", "<b>ad\u200bmin</b>", `<b>ad\u200bmin</b>`},
		"control":     {"An escape sequence has no place on a page.", "<b>\x1b[2J</b>", `<b>\u001b[2J</b>`},
		"joiner":      {"Persian needs it between its letters.", "<b>علی\u200cرضا</b>", "<b>علی\u200cرضا</b>"},
		"Latin joins": {"Latin letters need no joiner.", "<b>ad\u200cmin</b>", `<b>ad\u200cmin</b>`},
		"field":       {"A form sends back what it was filled with.", "<input value=\"a\u202eb\"> \u202e", "<input value=\"a\u202eb\"> \\u202e"},
		"text area":   {"As a field.", "<textarea>a\u202eb &lt;</textarea>\u202e", "<textarea>a\u202eb &lt;</textarea>\\u202e"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(revealed([]byte(c.page))); got != c.want {
				t.Errorf("revealed(%q) = %q, want %q\n%s", c.page, got, c.want, c.reason)
			}
		})
	}
}
