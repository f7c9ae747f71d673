// SPDX-License-Identifier: Apache-2.0

package devoidc

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// User is a user who can sign in.
type User struct {
	Subject    string `json:"sub,omitempty"` // stable id in tokens; the user name when empty
	UserName   string `json:"userName"`      // typed at sign-in and sent as preferred_username
	Password   string `json:"password"`
	Email      string `json:"email,omitempty"`
	Name       string `json:"name,omitempty"`
	GivenName  string `json:"givenName,omitempty"`
	FamilyName string `json:"familyName,omitempty"`
}

// ReadUsers parses a JSON array of users. Unknown fields and users without name or password are
// errors.
func ReadUsers(r io.Reader) ([]User, error) {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	var users []User
	if err := decoder.Decode(&users); err != nil {
		return nil, fmt.Errorf("read the list of users (a JSON array of {userName, password, email, name}): %w", err)
	}
	return users, validateUsers(users)
}

// ParseUser parses the short form userName:password[:email].
func ParseUser(text string) (User, error) {
	name, rest, found := strings.Cut(text, ":")
	if !found || name == "" || rest == "" {
		return User{}, fmt.Errorf("user %q: write userName:password or userName:password:email", name)
	}
	password, email, _ := strings.Cut(rest, ":")
	return User{UserName: name, Password: password, Email: email}, nil
}

func validateUsers(users []User) error {
	seen := map[string]bool{}
	for i, u := range users {
		key := strings.ToLower(u.UserName)
		switch {
		case u.UserName == "" || u.Password == "":
			return fmt.Errorf("user %d has no userName or no password", i+1)
		case seen[key]:
			return fmt.Errorf("user name %q is listed twice", u.UserName)
		}
		seen[key] = true
	}
	return nil
}

// withDefaults sets fields that tokens need from the user name.
func (u User) withDefaults() User {
	if u.Subject == "" {
		u.Subject = u.UserName
	}
	if u.Email == "" && strings.Contains(u.UserName, "@") {
		u.Email = u.UserName
	}
	if u.Name == "" {
		u.Name = strings.TrimSpace(u.GivenName + " " + u.FamilyName)
	}
	if u.Name == "" {
		u.Name = u.UserName
	}
	return u
}
