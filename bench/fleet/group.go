package fleet

import (
	"context"

	"github.com/firmlight/firmlight/e2e/kit"
)

// NewGroup registers a person of that name with a group on a server, for a fleet
// that nobody else reports to.
func NewGroup(ctx context.Context, url, name string) (Server, error) {
	s := Server{URL: url}
	person, err := kit.Register(ctx, url, name, "a long password")
	if err != nil {
		return s, err
	}
	if s.Group, err = person.Group(ctx, name); err != nil {
		return s, err
	}
	var token struct{ Secret string }
	err = person.Do(ctx, "POST", "/tokens", map[string]any{"name": "fleet", "kind": "device", "groups": []string{s.Group}}, &token)
	if err != nil {
		return s, err
	}
	s.DeviceToken = token.Secret
	s.ReadToken, err = person.NewToken(ctx, "api")
	return s, err
}
