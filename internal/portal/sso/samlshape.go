// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

var (
	responseName  = xml.Name{Space: "urn:oasis:names:tc:SAML:2.0:protocol", Local: "Response"}
	assertionName = xml.Name{Space: "urn:oasis:names:tc:SAML:2.0:assertion", Local: "Assertion"}
	signatureName = xml.Name{Space: "http://www.w3.org/2000/09/xmldsig#", Local: "Signature"}
)

// checkShape accepts only the one form that providers send: a Response with one Assertion as its
// child, unencrypted, each with at most one signature as its child, and no id twice. Comments,
// processing instructions and document types are refused. Most ways to wrap or split a signed
// assertion need another form, so they fail here, before the signature is looked at.
func checkShape(document []byte) error {
	s := shape{ids: map[string]bool{}, signed: map[xml.Name]bool{}}
	decoder := xml.NewDecoder(bytes.NewReader(document))
	for first := true; ; first = false {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF):
			return s.whole()
		case err != nil:
			return errors.New("it is not well-formed XML")
		}
		if err := s.add(token, first); err != nil {
			return err
		}
	}
}

// shape is what has been read of a response.
type shape struct {
	path   []xml.Name // the open elements
	rooted bool
	found  bool // the assertion
	ids    map[string]bool
	signed map[xml.Name]bool // by the element
}

func (s *shape) add(token xml.Token, first bool) error {
	switch t := token.(type) {
	case xml.Directive:
		return errors.New("it has a document type declaration")
	case xml.Comment:
		return errors.New("it has a comment")
	case xml.ProcInst:
		if !first || t.Target != "xml" {
			return errors.New("it has a processing instruction")
		}
	case xml.EndElement:
		s.path = s.path[:len(s.path)-1]
	case xml.StartElement:
		if err := s.addIDs(t.Attr); err != nil {
			return err
		}
		if err := s.addElement(t.Name); err != nil {
			return err
		}
		s.path = append(s.path, t.Name)
	}
	return nil
}

func (s *shape) addIDs(attributes []xml.Attr) error {
	for _, a := range attributes {
		if !strings.EqualFold(a.Name.Local, "id") || a.Name.Space == "xmlns" {
			continue
		}
		if s.ids[a.Value] {
			return errors.New("it has an id twice")
		}
		s.ids[a.Value] = true
	}
	return nil
}

func (s *shape) addElement(name xml.Name) error {
	depth := len(s.path)
	var parent xml.Name
	if depth > 0 {
		parent = s.path[depth-1]
	}
	switch {
	case depth == 0:
		if name != responseName || s.rooted {
			return errors.New("it is not one SAML response")
		}
		s.rooted = true
	case name == responseName:
		return errors.New("it has a response inside")
	case name == assertionName:
		if depth != 1 || s.found {
			return errors.New("it has more than one assertion, or one in another place")
		}
		s.found = true
	case strings.HasPrefix(name.Local, "Encrypted"):
		return errors.New("it is encrypted; switch the encryption off at the provider")
	case name == signatureName:
		if parent != responseName && parent != assertionName || s.signed[parent] {
			return errors.New("it has a signature in another place, or two in one")
		}
		s.signed[parent] = true
	}
	return nil
}

// whole reports what is missing at the end.
func (s *shape) whole() error {
	switch {
	case !s.found:
		return errors.New("it has no assertion")
	case len(s.signed) == 0:
		return errors.New("neither the response nor the assertion is signed")
	}
	return nil
}
