package auth

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/firmlight/firmlight/internal/fault"
)

// HashParams is the cost of a password's argon2id hash.
type HashParams struct {
	MemoryKiB   uint32
	Iterations  uint32
	Parallelism uint8
}

// hasher computes password hashes, a few at a time: each takes megabytes and
// tens of milliseconds of a core.
type hasher struct {
	params   *argon2id.Params
	dummy    string        // compared with where there is no user, for equal time
	running  chan struct{} // one place for each hash at a time
	waiting  atomic.Int64
	computed atomic.Int64 // hashes so far
}

// maxWaiting hashes may stand in line before callers are sent away.
const maxWaiting = 64

var errHashBusy = &fault.Error{
	Kind: fault.TooMany, Code: "busy", Detail: "Too many people log in at once; try again.", RetryAfter: time.Second,
}

func newHasher(p HashParams, atOnce int) (*hasher, error) {
	params := &argon2id.Params{
		Memory: p.MemoryKiB, Iterations: p.Iterations, Parallelism: p.Parallelism, SaltLength: 16, KeyLength: 32,
	}
	dummy, err := argon2id.CreateHash("", params)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return &hasher{params: params, dummy: dummy, running: make(chan struct{}, atOnce)}, nil
}

// hash returns the hash to store.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	hash, err := argon2id.CreateHash(password, h.params)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// matches compares with a stored hash; an empty one never matches, and takes as
// long to find out.
func (h *hasher) matches(ctx context.Context, password, hash string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	if hash == "" {
		_, err := argon2id.ComparePasswordAndHash(password, h.dummy)
		return false, err
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}

// current reports whether a hash was made with today's parameters.
func (h *hasher) current(hash string) bool {
	params, _, _, err := argon2id.DecodeHash(hash)
	return err == nil && *params == *h.params
}

func (h *hasher) enter(ctx context.Context) error {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > maxWaiting {
		return errHashBusy
	}
	select {
	case h.running <- struct{}{}:
		h.computed.Add(1)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hasher) leave() { <-h.running }

// HashesComputed counts the password hashes since the start, for metrics.
func (s *Service) HashesComputed() int64 { return s.hasher.computed.Load() }
