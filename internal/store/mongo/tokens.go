package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/auth"
)

// tokenRow is an auth.Token as it is stored.
type tokenRow struct {
	ID         string       `bson:"_id"`
	UserID     string       `bson:"user_id"`
	Kind       auth.Kind    `bson:"kind"`
	Name       string       `bson:"name"`
	Hash       string       `bson:"hash"`
	Groups     []string     `bson:"groups"`
	Scopes     []auth.Scope `bson:"scopes"`
	DeviceID   string       `bson:"device_id"`
	CreatedAt  time.Time    `bson:"created_at"`
	ExpiresAt  time.Time    `bson:"expires_at"`
	LastUsedAt time.Time    `bson:"last_used_at"`
}

// tokenDoc is a token with its end, as loginDoc has it.
type tokenDoc struct {
	Token   tokenRow  `bson:",inline"`
	EndedAt time.Time `bson:"ended_at"`
}

// InsertToken implements auth.TokenStore.
func (db *DB) InsertToken(ctx context.Context, t auth.Token) error {
	_, err := db.tokens().InsertOne(ctx, tokenDoc{Token: tokenRow(t)})
	return fail(err)
}

// TokenByHash implements auth.TokenStore.
func (db *DB) TokenByHash(ctx context.Context, hash string) (auth.Token, error) {
	t, err := findOne[tokenRow](ctx, db.tokens(), auth.ErrNoToken, D{is("hash", hash), notEnded})
	return auth.Token(t), err
}

// Tokens implements auth.TokenStore.
func (db *DB) Tokens(ctx context.Context, user, before string, limit int) ([]auth.Token, error) {
	filter := D{is("user_id", user), notEnded}
	if before != "" {
		filter = append(filter, op("_id", "$lt", before))
	}
	rows, err := find[tokenRow](ctx, db.tokens(), filter, options.Find().SetSort(D{is("_id", -1)}).SetLimit(int64(limit)))
	found := make([]auth.Token, len(rows))
	for i, t := range rows {
		found[i] = auth.Token(t)
	}
	return found, err
}

// DeleteToken implements auth.TokenStore.
func (db *DB) DeleteToken(ctx context.Context, user, id string, now time.Time) error {
	return mustUpdate(ctx, db.tokens(), auth.ErrNoToken, D{is("_id", id), is("user_id", user), notEnded},
		D{is("$set", D{is("ended_at", now)})})
}

// DeleteTokens implements auth.TokenStore.
func (db *DB) DeleteTokens(ctx context.Context, user string) error {
	_, err := remove(ctx, db.tokens(), D{is("user_id", user), notEnded})
	return err
}
