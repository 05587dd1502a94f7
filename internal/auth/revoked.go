package auth

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/background"
)

// Revocation says that a session or token ended, or everything of a user, by id.
type Revocation struct {
	ID string
	At time.Time // by the clock of the server that did it
}

// What ends on one server ends on all within a second: each asks the store for
// what the others ended, watchEvery, and nothing it was told before is used for
// longer than cacheTTL. A push over Redis (OnRevokedHere, Revoked) only makes it
// faster.
const (
	watchEvery = 500 * time.Millisecond
	// clockSkew is by how much the clocks of servers may differ.
	clockSkew = 30 * time.Second
	// KeepRevocations is how long a server may be without the store and still
	// hear what ended meanwhile.
	KeepRevocations = 24 * time.Hour
)

// OnRevoked has f called with the ids of sessions, tokens and users that ended,
// on whichever server; perhaps more than once. It must not block.
func (s *Service) OnRevoked(f func(ids ...string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRevoked = append(s.onRevoked, f)
}

// OnRevokedHere has f called with what ended through this server, so that it can
// tell the others, whose Revoked then knows at once. It must not block.
func (s *Service) OnRevokedHere(f func(ids ...string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRevokedHere = append(s.onRevokedHere, f)
}

// Revoked forgets what this server knew of the ids, and has what is open for
// them closed.
func (s *Service) Revoked(ids ...string) {
	s.cache.drop(ids...)
	s.mu.Lock()
	hooks := slices.Clone(s.onRevoked)
	s.mu.Unlock()
	for _, f := range hooks {
		f(ids...)
	}
}

// ended is called after the store knows that the ids ended.
func (s *Service) ended(ids ...string) {
	if len(ids) == 0 {
		return
	}
	s.Revoked(ids...)
	s.mu.Lock()
	hooks := slices.Clone(s.onRevokedHere)
	s.mu.Unlock()
	for _, f := range hooks {
		f(ids...)
	}
}

// Start begins to watch what other servers end, and to note when logins are used.
func (s *Service) Start(ctx context.Context) error {
	s.loops.Start(ctx, s.watch)
	return nil
}

// Stop ends what Start began. It may be called twice, or without Start.
func (s *Service) Stop(context.Context) error {
	s.loops.Stop()
	return nil
}

func (s *Service) watch(ctx context.Context) {
	asked, away := s.opt.Now(), false
	var known []Revocation
	background.Every(watchEvery, func(ctx context.Context) {
		now := s.opt.Now()
		found, err := s.opt.Store.Revoked(ctx, asked.Add(-clockSkew))
		if err == nil {
			asked = now
			s.revokedElsewhere(known, found)
			known = found
			err = s.NoteUses(ctx)
		}
		if err != nil && !away && ctx.Err() == nil {
			s.opt.Log.WarnContext(ctx, "the store does not say what was revoked; asking on", "error", err)
		}
		away = err != nil
	})(ctx)
}

// revokedElsewhere passes on what was not known before. Some of it this server
// knows from itself, or by push: it is closed already.
func (s *Service) revokedElsewhere(known, found []Revocation) {
	old := make(map[Revocation]bool, len(known))
	for _, r := range known {
		old[r] = true
	}
	var ids []string
	for _, r := range found {
		if !old[r] {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) > 0 {
		s.Revoked(ids...)
	}
}

const (
	useEvery   = time.Minute // how exactly the last use is kept
	maxUses    = 20_000      // that wait to be written; beyond, the next use is
	usesAtOnce = 500         // in one call of the store
)

// used notes the use of a session or token, unless it was used within the last
// minute. The write does not keep the caller waiting.
func (s *Service) used(id string, last, now time.Time) {
	if now.Sub(last) < useEvery {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.uses) < maxUses {
		s.uses[id] = true
	}
}

// NoteUses writes what sessions and tokens were used; a started Service calls it
// by itself.
func (s *Service) NoteUses(ctx context.Context) error {
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.uses))
	clear(s.uses)
	s.mu.Unlock()
	for some := range slices.Chunk(ids, usesAtOnce) {
		if err := s.opt.Store.Touch(ctx, s.opt.Now(), some); err != nil {
			return err
		}
	}
	return nil
}
