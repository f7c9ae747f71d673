// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"testing"

	"github.com/beevik/etree"
)

// FuzzShape compares with the parser that the library uses: a document of the right shape has one
// assertion for that parser too, and it is where the signature's check expects it.
func FuzzShape(f *testing.F) {
	const response, assertion, signature = `<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns="urn:oasis:names:tc:SAML:2.0:assertion" ID="r">`,
		`<Assertion ID="a">`, `<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>`
	f.Add(response + signature + assertion + `</Assertion></p:Response>`)
	f.Add(`<?xml version="1.0"?>` + response + assertion + signature + `<Subject/></Assertion></p:Response>`)
	f.Add(response + assertion + assertion + signature + `</Assertion></Assertion></p:Response>`)
	f.Add(response + `<x:Assertion xmlns:x="urn:oasis:names:tc:SAML:2.0:assertion"/>` + assertion + signature + `</Assertion></p:Response>`)
	f.Add(response + signature + `</p:Response><!-- -->`)
	f.Fuzz(func(t *testing.T, text string) {
		if checkShape([]byte(text)) != nil {
			return
		}
		document := etree.NewDocument()
		if err := document.ReadFromString(text); err != nil {
			return // the library refuses it
		}
		root := document.Root()
		if root == nil || root.NamespaceURI() != responseName.Space || root.Tag != responseName.Local {
			t.Fatalf("the root is not the response: %q", text)
		}
		found := 0
		for _, e := range root.FindElements("//*") {
			if e.Tag == assertionName.Local && e.NamespaceURI() == assertionName.Space {
				found++
				if e.Parent() != root {
					t.Errorf("the assertion is in another place: %q", text)
				}
			}
		}
		if found != 1 {
			t.Errorf("%d assertions: %q", found, text)
		}
	})
}
