package queue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// statsDays is how long asynq keeps what it counts by day, and a day to spare.
const statsDays = 91

// Remove takes away every queue of the groups with all that belongs to it:
// entries, marks, pauses, counts. Nothing may be pushed to them any more, and
// their consumers must have stopped, else parts of a queue come back. After an
// error some may be left; again is right.
func (q *Queue) Remove(ctx context.Context, groups ...string) error {
	names, err := q.client.SMembers(ctx, allQueues).Result()
	if err != nil {
		return err
	}
	of := make(map[string]bool, len(groups))
	for _, g := range groups {
		of[g] = true
	}
	var errs []error
	for _, name := range names {
		if group, _, ok := strings.Cut(name, ":"); ok && of[group] {
			errs = append(errs, q.remove(ctx, name))
		}
	}
	return errors.Join(errs...)
}

// remove takes the name out of the list of queues last: until then Remove finds
// what an error left.
func (q *Queue) remove(ctx context.Context, name string) error {
	for _, list := range []string{"pending", "active"} {
		if err := q.empty(ctx, name, func(pipe redis.Pipeliner) *redis.StringSliceCmd {
			ids := pipe.LRange(ctx, key(name, list), 0, portion-1)
			pipe.LTrim(ctx, key(name, list), portion, -1)
			return ids
		}); err != nil {
			return err
		}
	}
	for _, set := range []string{"scheduled", "retry", "archived", "completed"} {
		if err := q.empty(ctx, name, func(pipe redis.Pipeliner) *redis.StringSliceCmd {
			ids := pipe.ZRange(ctx, key(name, set), 0, portion-1)
			pipe.ZRemRangeByRank(ctx, key(name, set), 0, portion-1)
			return ids
		}); err != nil {
			return err
		}
	}
	rest := []string{key(name, "lease"), key(name, "paused"), key(name, "processed"), key(name, "failed")}
	for day := range statsDays {
		date := time.Now().UTC().AddDate(0, 0, -day).Format(time.DateOnly)
		rest = append(rest, key(name, "processed:"+date), key(name, "failed:"+date))
	}
	if err := q.client.Del(ctx, rest...).Err(); err != nil {
		return err
	}
	if err := q.client.Del(ctx, ownKey(name, "overflow"), ownKey(name, "refill")).Err(); err != nil {
		return err
	}
	q.mu.Lock()
	delete(q.windows, name)
	q.mu.Unlock()
	return q.client.SRem(ctx, allQueues, name).Err()
}

// empty deletes the entries of one list of a queue; take removes a portion of it
// and names them, until there is none.
func (q *Queue) empty(ctx context.Context, name string, take func(redis.Pipeliner) *redis.StringSliceCmd) error {
	for {
		pipe := q.client.TxPipeline()
		taken := take(pipe)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		ids := taken.Val()
		if len(ids) == 0 {
			return nil
		}
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = key(name, "t:"+id)
		}
		if err := q.client.Del(ctx, keys...).Err(); err != nil {
			return err
		}
	}
}
