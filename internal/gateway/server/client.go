// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/quirk"
)

// clientOf returns the kind of client of a User-Agent, as a type of provider; empty if it is
// unknown. Okta documents "Okta SCIM Client 1.0.0"; Microsoft's clients name Microsoft, Azure AD or
// Entra.
func clientOf(userAgent string) string {
	agent := strings.ToLower(userAgent)
	for _, known := range []struct{ word, client string }{
		{"okta", provider.Okta}, {"microsoft", provider.EntraID}, {"azure", provider.EntraID}, {"entra", provider.EntraID},
	} {
		if strings.Contains(agent, known.word) {
			return known.client
		}
	}
	return ""
}

// clientByDialect returns the kind of client that alone sends bodies with these quirks; empty if
// other clients send such bodies too.
func clientByDialect(names []quirk.Name) string {
	if slices.Contains(names, quirk.CapitalisedOperation) || slices.Contains(names, quirk.DottedKey) {
		return provider.EntraID
	}
	return ""
}

// clients records which kinds of client have used each token in this process.
type clients struct {
	mu       sync.Mutex
	first    map[[32]byte]string
	reported map[second]bool
}

type second struct {
	token  [32]byte
	client string
}

func newClients() *clients {
	return &clients{first: map[[32]byte]string{}, reported: map[second]bool{}}
}

// second reports whether client is another kind than the token's (is), and whether this is the
// first such request (isNew). first is the kind of the token: the type of its provider or, for a
// provider of the type Other, the first kind that used the token.
func (k *clients) second(token Identity, client string) (first string, is, isNew bool) {
	first = token.Provider.Type
	if client == "" || client == first {
		return first, false, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if first != provider.Okta && first != provider.EntraID {
		if len(k.first) >= maxBuckets {
			clear(k.first)
		}
		if k.first[token.Secret] == "" {
			k.first[token.Secret] = client
		}
		first = k.first[token.Secret]
	}
	if first == client {
		return first, false, false
	}
	if len(k.reported) >= maxBuckets {
		clear(k.reported)
	}
	key := second{token.Secret, client}
	isNew = !k.reported[key]
	k.reported[key] = true
	return first, true, isNew
}

// note reports a second kind of client on the call's token, and refuses the call if the
// configuration requires it. The log has one line for each token and kind; the metric counts each
// request.
func (c *call) note(client string) error {
	first, is, isNew := c.clients.second(c.identity, client)
	if !is {
		return nil
	}
	if !c.counted {
		c.counted = true
		c.metrics.second.WithLabelValues(c.identity.Name, client).Inc()
	}
	if isNew {
		c.log.Info("A second kind of client uses a token; create a separate token for each client, and check who uses this one",
			"token", c.identity.Name, "first", first, "second", client, "refused", c.config.RefuseSecondClient)
	}
	if !c.config.RefuseSecondClient {
		return nil
	}
	return scim.Failure(http.StatusForbidden,
		"This token is used by %s, and the request looks like one from %s. Nothing was changed. Create a separate token for each client, or set identityProvider.onSecondClient of the IdentityConfiguration to Report.", first, client)
}
