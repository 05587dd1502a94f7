// Package webhook tells other programs of alerts: signed POSTs that are repeated,
// through asynq, until they are answered.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/firmlight/firmlight/internal/publicnet"
)

// Deliveries are asynq's tasks in a queue of their own.
const (
	queueName = "webhooks"
	taskType  = "webhook"
)

// A delivery is tried for a day: after 10 s, then twice as long each time, up to
// an hour.
const (
	attemptTime = 10 * time.Second
	giveUpAfter = 24 * time.Hour
	firstPause  = 10 * time.Second
	longPause   = time.Hour
	maxRetries  = 40 // more than fit into a day
	maxAnswer   = 64 << 10
	atOnce      = 4
)

// Headers of a delivery.
const (
	TimestampHeader = "X-Firmlight-Timestamp" // Unix seconds, of this attempt
	SignatureHeader = "X-Firmlight-Signature" // sha256=<hex>, see Sign
	DeliveryHeader  = "X-Firmlight-Delivery"  // the same for each attempt
)

// Options are what a Sender needs.
type Options struct {
	Redis        redis.UniversalClient
	Secret       []byte // the server's; each group's is derived from it
	AllowPrivate bool   // also to private, loopback and link-local addresses
	Log          *slog.Logger
}

// Sender delivers what Send was given. Deliveries wait in Redis, so that any
// server makes them; what was waiting in a Redis that is emptied is lost.
type Sender struct {
	o      Options
	http   *http.Client
	client *asynq.Client
	server *asynq.Server
	pause  func(n int, err error, t *asynq.Task) time.Duration // between two attempts
}

// New returns a Sender that has to be started.
func New(o Options) *Sender {
	permit := publicnet.Public
	if o.AllowPrivate {
		permit = publicnet.Any
	}
	s := &Sender{
		o: o, client: asynq.NewClientFromRedisClient(o.Redis),
		http: &http.Client{
			Transport: publicnet.Transport(permit, attemptTime), Timeout: attemptTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pause: func(n int, _ error, _ *asynq.Task) time.Duration {
			return min(longPause, firstPause<<min(n, 16))
		},
	}
	s.server = asynq.NewServerFromRedisClient(o.Redis, asynq.Config{
		Queues: map[string]int{queueName: 1}, Concurrency: atOnce,
		RetryDelayFunc: func(n int, err error, t *asynq.Task) time.Duration { return s.pause(n, err, t) },
		Logger:         quiet{}, LogLevel: asynq.FatalLevel, ShutdownTimeout: attemptTime,
	})
	return s
}

// quiet is asynq's logger: what matters is logged here.
type quiet struct{}

func (quiet) Debug(...any) {}
func (quiet) Info(...any)  {}
func (quiet) Warn(...any)  {}
func (quiet) Error(...any) {}
func (quiet) Fatal(...any) {}

// Start begins to deliver.
func (s *Sender) Start(context.Context) error {
	return s.server.Start(asynq.HandlerFunc(s.deliver))
}

// Stop waits for the attempts under way.
func (s *Sender) Stop(context.Context) error {
	s.server.Shutdown()
	return nil
}

// Key is the secret of a group, in hex. It is derived, not kept.
func (s *Sender) Key(group string) string {
	h := hmac.New(sha256.New, s.o.Secret)
	h.Write([]byte("firmlight webhook " + group))
	return hex.EncodeToString(h.Sum(nil))
}

// delivery is the payload of a task.
type delivery struct {
	Group string          `json:"group"`
	URL   string          `json:"url"`
	Body  json.RawMessage `json:"body"`
}

// Send has a body delivered to url, signed with the group's key. The same id sent
// again while it waits is delivered once.
func (s *Sender) Send(ctx context.Context, id, group, url string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(delivery{Group: group, URL: url, Body: data})
	if err != nil {
		return err
	}
	_, err = s.client.EnqueueContext(ctx, asynq.NewTask(taskType, payload), asynq.TaskID(id), asynq.Queue(queueName),
		asynq.MaxRetry(maxRetries), asynq.Deadline(time.Now().Add(giveUpAfter)))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// Sign returns the signature of a body: HMAC-SHA256, with the key as text, of the
// timestamp, a dot and the body.
func Sign(key, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// deliver makes one attempt.
func (s *Sender) deliver(ctx context.Context, t *asynq.Task) error {
	var d delivery
	if err := json.Unmarshal(t.Payload(), &d); err != nil {
		return fmt.Errorf("%w: %w", asynq.SkipRetry, err)
	}
	id, _ := asynq.GetTaskID(ctx)
	err := s.post(ctx, id, d)
	if err == nil {
		return nil
	}
	log := s.o.Log.With("group_id", d.Group, "delivery", id, "error", err)
	if errors.Is(err, publicnet.ErrPrivate) {
		log.WarnContext(ctx, "webhook given up: private addresses are not allowed")
		return fmt.Errorf("%w: %w", asynq.SkipRetry, err)
	}
	log.InfoContext(ctx, "webhook not delivered yet")
	return err
}

func (s *Sender) post(ctx context.Context, id string, d delivery) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return err
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Firmlight")
	req.Header.Set(DeliveryHeader, id)
	req.Header.Set(TimestampHeader, now)
	req.Header.Set(SignatureHeader, Sign(s.Key(d.Group), now, d.Body))
	res, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // what it says does not matter
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("the webhook answered %d", res.StatusCode)
	}
	return nil
}
