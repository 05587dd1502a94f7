package mongo

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/auth"
)

// loginDoc is an auth.Session. One that was ended stays for a while, so that
// Revoked finds it: its end and the note of it are one write.
type loginDoc struct {
	ID         string    `bson:"_id"`
	UserID     string    `bson:"user_id"`
	Generation int       `bson:"generation"`
	RotatedAt  time.Time `bson:"rotated_at"`
	ExpiresAt  time.Time `bson:"expires_at"`
	CreatedAt  time.Time `bson:"created_at"`
	LastUsedAt time.Time `bson:"last_used_at"`
	UserAgent  string    `bson:"user_agent"`
	Address    string    `bson:"address"` // empty: not known
	EndedAt    time.Time `bson:"ended_at"`
}

func (d loginDoc) session() auth.Session {
	address, _ := netip.ParseAddr(d.Address) // empty: not known
	return auth.Session{
		ID: d.ID, UserID: d.UserID, Generation: d.Generation, RotatedAt: d.RotatedAt, ExpiresAt: d.ExpiresAt,
		CreatedAt: d.CreatedAt, LastUsedAt: d.LastUsedAt, Client: auth.Client{Address: address, UserAgent: d.UserAgent},
	}
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// notEnded holds for sessions and tokens that are there.
var notEnded = is("ended_at", 0)

func (db *DB) logins() *mongo.Collection { return db.in("logins") }
func (db *DB) tokens() *mongo.Collection { return db.in("tokens") }

// InsertSession implements auth.SessionStore.
func (db *DB) InsertSession(ctx context.Context, s auth.Session) error {
	_, err := db.logins().InsertOne(ctx, loginDoc{
		ID: s.ID, UserID: s.UserID, Generation: s.Generation, RotatedAt: s.RotatedAt, ExpiresAt: s.ExpiresAt,
		CreatedAt: s.CreatedAt, LastUsedAt: s.LastUsedAt, UserAgent: s.Client.UserAgent, Address: addressText(s.Client.Address),
	})
	if err != nil {
		return fail(err)
	}
	_, err = update(ctx, db.users(), D{is("_id", s.UserID)}, D{is("$set", D{is("last_login_at", s.CreatedAt)})})
	return err
}

// SessionByID implements auth.SessionStore.
func (db *DB) SessionByID(ctx context.Context, id string) (auth.Session, error) {
	d, err := findOne[loginDoc](ctx, db.logins(), auth.ErrNoSession, D{is("_id", id), notEnded})
	if err != nil {
		return auth.Session{}, err
	}
	return d.session(), nil
}

// Logins implements auth.SessionStore.
func (db *DB) Logins(ctx context.Context, user string, now time.Time, before string, limit int) ([]auth.Session, error) {
	filter := D{is("user_id", user), notEnded, op("expires_at", "$gt", now)}
	if before != "" {
		filter = append(filter, op("_id", "$lt", before))
	}
	docs, err := find[loginDoc](ctx, db.logins(), filter, options.Find().SetSort(D{is("_id", -1)}).SetLimit(int64(limit)))
	found := make([]auth.Session, len(docs))
	for i, d := range docs {
		found[i] = d.session()
	}
	return found, err
}

// RotateSession implements auth.SessionStore.
func (db *DB) RotateSession(ctx context.Context, id string, generation int, from auth.Client, now, expires time.Time) (bool, error) {
	return update(ctx, db.logins(), D{is("_id", id), notEnded, is("generation", generation)}, D{
		is("$inc", D{is("generation", 1)}),
		is("$set", D{
			is("rotated_at", now), is("expires_at", expires), is("last_used_at", now),
			is("user_agent", from.UserAgent), is("address", addressText(from.Address)),
		}),
	})
}

// DeleteSession implements auth.SessionStore.
func (db *DB) DeleteSession(ctx context.Context, id string, now time.Time) error {
	_, err := update(ctx, db.logins(), D{is("_id", id), notEnded}, D{is("$set", D{is("ended_at", now)})})
	return err
}

// DeleteSessions implements auth.SessionStore.
func (db *DB) DeleteSessions(ctx context.Context, user, except string, now time.Time) ([]string, error) {
	all, err := ids(ctx, db.logins(), D{is("user_id", user), notEnded, op("_id", "$ne", except)}, D{is("_id", 1)}, 0, 0)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	_, err = db.logins().UpdateMany(ctx, D{op("_id", "$in", all), notEnded}, D{is("$set", D{is("ended_at", now)})})
	return all, fail(err)
}

// Revoked implements auth.SessionStore: what is kept of each that ended.
func (db *DB) Revoked(ctx context.Context, since time.Time) ([]auth.Revocation, error) {
	type ended struct {
		ID        string    `bson:"_id"`
		EndedAt   time.Time `bson:"ended_at"`
		RevokedAt time.Time `bson:"revoked_at"`
	}
	var all []auth.Revocation
	for _, of := range []struct {
		in    *mongo.Collection
		field string
	}{{db.logins(), "ended_at"}, {db.tokens(), "ended_at"}, {db.users(), "revoked_at"}} {
		found, err := find[ended](ctx, of.in, D{is(of.field, D{is("$gt", 0), is("$gte", since)})},
			options.Find().SetProjection(D{is(of.field, 1)}))
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			when := e.EndedAt
			if when.IsZero() {
				when = e.RevokedAt
			}
			all = append(all, auth.Revocation{ID: e.ID, At: when})
		}
	}
	return all, nil
}

// Touch implements auth.SessionStore.
func (db *DB) Touch(ctx context.Context, now time.Time, ids []string) error {
	for _, c := range []*mongo.Collection{db.logins(), db.tokens()} {
		_, err := c.UpdateMany(ctx, D{op("_id", "$in", list(ids))}, D{is("$set", D{is("last_used_at", now)})})
		if err != nil {
			return fail(err)
		}
	}
	return nil
}

// DeleteExpiredLogins implements auth.SessionStore.
func (db *DB) DeleteExpiredLogins(ctx context.Context, t time.Time) (int64, error) {
	var n int
	var errs []error
	old := D{is("$gt", 0), is("$lt", t.Add(-auth.KeepRevocations))}
	for _, c := range []*mongo.Collection{db.logins(), db.tokens()} {
		expired, err := remove(ctx, c, D{is("expires_at", D{is("$gt", 0), is("$lt", t)}), notEnded})
		n += expired
		_, err2 := remove(ctx, c, D{is("ended_at", old)})
		errs = append(errs, err, err2)
	}
	_, err := db.users().UpdateMany(ctx, D{is("revoked_at", old)}, D{is("$set", D{is("revoked_at", 0)})})
	return int64(n), errors.Join(append(errs, fail(err))...)
}
