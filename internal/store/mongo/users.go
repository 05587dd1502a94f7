package mongo

import (
	"context"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/auth"
)

var _ auth.Store = (*DB)(nil)

// userRow is an auth.User as it is stored; the compiler checks that they agree.
type userRow struct {
	ID           string    `bson:"_id"`
	Username     string    `bson:"username"`
	Email        string    `bson:"email"`
	PasswordHash string    `bson:"password_hash"`
	Admin        bool      `bson:"admin"`
	Disabled     bool      `bson:"disabled"`
	CreatedAt    time.Time `bson:"created_at"`
	LastLoginAt  time.Time `bson:"last_login_at"`
	DeletedAt    time.Time `bson:"deleted_at"`
}

// userDoc is a user with when they were disabled or deleted last, for Revoked:
// in the same document, so that it is noted with the change itself.
type userDoc struct {
	User      userRow   `bson:",inline"`
	RevokedAt time.Time `bson:"revoked_at"`
}

func (db *DB) users() *mongo.Collection { return db.in("users") }

var notDeleted = is("deleted_at", 0)

// InsertUser implements auth.UserStore. Name and email are unique by their
// indexes.
func (db *DB) InsertUser(ctx context.Context, u auth.User) error {
	_, err := db.users().InsertOne(ctx, userDoc{User: userRow(u)})
	if mongo.IsDuplicateKeyError(err) {
		return db.taken(ctx, u.Username)
	}
	return fail(err)
}

// taken says which of the two it was.
func (db *DB) taken(ctx context.Context, username string) error {
	n, err := db.users().CountDocuments(ctx, D{is("username", username)})
	if err != nil {
		return fail(err)
	}
	if n > 0 {
		return auth.ErrUsernameTaken
	}
	return auth.ErrEmailTaken
}

func (db *DB) user(ctx context.Context, filter D) (auth.User, error) {
	u, err := findOne[userRow](ctx, db.users(), auth.ErrNoUser, filter)
	return auth.User(u), err
}

// UserByID implements auth.UserStore.
func (db *DB) UserByID(ctx context.Context, id string) (auth.User, error) {
	return db.user(ctx, D{is("_id", id)})
}

// UserByLogin implements auth.UserStore.
func (db *DB) UserByLogin(ctx context.Context, login string) (auth.User, error) {
	if strings.Contains(login, "@") {
		return db.user(ctx, D{is("email", login), notDeleted})
	}
	return db.user(ctx, D{is("username", login), notDeleted})
}

// SetEmail implements auth.UserStore. FerretDB says of a second one only that
// something went wrong, so it is looked for first; the index has the last word.
func (db *DB) SetEmail(ctx context.Context, id, email string) error {
	n, err := db.users().CountDocuments(ctx, D{is("email", email), op("_id", "$ne", id)})
	if err != nil {
		return fail(err)
	}
	if n > 0 {
		return auth.ErrEmailTaken
	}
	res, err := db.users().UpdateOne(ctx, D{is("_id", id), notDeleted}, D{is("$set", D{is("email", email)})})
	switch {
	case mongo.IsDuplicateKeyError(err):
		return auth.ErrEmailTaken
	case err == nil && res.MatchedCount == 0:
		return auth.ErrNoUser
	}
	return fail(err)
}

// SetPassword implements auth.UserStore.
func (db *DB) SetPassword(ctx context.Context, id, old, hash string) (bool, error) {
	return update(ctx, db.users(), D{is("_id", id), is("password_hash", old)}, D{is("$set", D{is("password_hash", hash)})})
}

// HasAdmin implements auth.UserStore.
func (db *DB) HasAdmin(ctx context.Context) (bool, error) { return db.adminBut(ctx, "") }

// adminBut reports whether there is an enabled administrator besides one.
func (db *DB) adminBut(ctx context.Context, id string) (bool, error) {
	n, err := db.users().CountDocuments(ctx, D{is("admin", true), is("disabled", false), op("_id", "$ne", id)}, options.Count().SetLimit(1))
	return n > 0, fail(err)
}

// Users implements auth.UserStore.
func (db *DB) Users(ctx context.Context, q auth.UserQuery) ([]auth.User, error) {
	filter := D{notDeleted, op("_id", "$gt", q.After)}
	if q.Admin != nil {
		filter = append(filter, is("admin", *q.Admin))
	}
	if q.Disabled != nil {
		filter = append(filter, is("disabled", *q.Disabled))
	}
	if q.Prefix != "" {
		filter = append(filter, is("$or", []D{{begins("username", q.Prefix)}, {begins("email", q.Prefix)}}))
	}
	rows, err := find[userRow](ctx, db.users(), filter, options.Find().SetSort(D{is("_id", 1)}).SetLimit(int64(q.Limit)))
	found := make([]auth.User, len(rows))
	for i, u := range rows {
		found[i] = auth.User(u)
	}
	return found, err
}

// UpdateUser implements auth.UserStore.
func (db *DB) UpdateUser(ctx context.Context, id string, c auth.UserChange, now time.Time) (auth.User, error) {
	var set D
	if c.Admin != nil {
		set = append(set, is("admin", *c.Admin))
	}
	if c.Disabled != nil {
		set = append(set, is("disabled", *c.Disabled))
		if *c.Disabled {
			set = append(set, is("revoked_at", now))
		}
	}
	if set == nil {
		return db.user(ctx, D{is("_id", id), notDeleted})
	}
	if c.Admin != nil && !*c.Admin || c.Disabled != nil && *c.Disabled {
		return db.lessAdmin(ctx, id, set)
	}
	return db.setUser(ctx, id, set)
}

// DeleteUser implements auth.UserStore.
func (db *DB) DeleteUser(ctx context.Context, id, username, email string, now time.Time) error {
	_, err := db.lessAdmin(ctx, id, D{
		is("username", username), is("email", email), is("password_hash", ""), is("admin", false),
		is("deleted_at", now), is("revoked_at", now),
	})
	return err
}

func (db *DB) setUser(ctx context.Context, id string, set D) (auth.User, error) {
	u, ok, err := change[userRow](ctx, db.users(), D{is("_id", id), notDeleted}, D{is("$set", set)})
	if err == nil && !ok {
		err = auth.ErrNoUser
	}
	return auth.User(u), err
}

// lessAdmin changes a user who may be an administrator and is none afterwards.
// One server at a time does: two could each find the other's left.
func (db *DB) lessAdmin(ctx context.Context, id string, set D) (after auth.User, err error) {
	err = db.exclusive(ctx, "administrators", func(ctx context.Context) error {
		before, err := db.user(ctx, D{is("_id", id), notDeleted})
		if err != nil {
			return err
		}
		if before.Admin && !before.Disabled {
			left, err := db.adminBut(ctx, id)
			if err != nil {
				return err
			}
			if !left {
				return auth.ErrLastAdmin
			}
		}
		after, err = db.setUser(ctx, id, set)
		return err
	})
	return after, err
}
