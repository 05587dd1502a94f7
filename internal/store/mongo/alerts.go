package mongo

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// ruleRow is a devsync.Rules as it is stored.
type ruleRow struct {
	Failures   int           `bson:"failures"`
	Silence    time.Duration `bson:"silence"`
	Grace      time.Duration `bson:"grace"`
	Approval   bool          `bson:"approval"`
	WebhookURL string        `bson:"webhook_url"`
}

func (db *DB) rules() *mongo.Collection { return db.in("sync_rules") }

// RulesOf implements devsync.Store.
func (db *DB) RulesOf(ctx context.Context, group string) (devsync.Rules, error) {
	found, err := find[ruleRow](ctx, db.rules(), D{is("_id", group)})
	if err != nil || len(found) == 0 {
		return devsync.DefaultRules, err
	}
	return devsync.Rules(found[0]), nil
}

// SetRules implements devsync.Store.
func (db *DB) SetRules(ctx context.Context, group string, r devsync.Rules) error {
	return upsert(ctx, db.rules(), group, D{is("$set", ruleRow(r))})
}

// alertDoc is a devsync.Alert.
type alertDoc struct {
	ID          string            `bson:"_id"`
	Group       string            `bson:"group_id"`
	Type        devsync.AlertType `bson:"type"`
	Device      string            `bson:"device"`
	Since       time.Time         `bson:"since"`
	Streak      int               `bson:"streak"`
	OpenedAt    time.Time         `bson:"opened_at"`
	RecoveredAt time.Time         `bson:"recovered_at"`
	Told        bool              `bson:"told"` // of its opening
	Untold      bool              `bson:"untold"`
}

// effect is what a version of a device does to an alert: opens it, raises its
// streak, or with Recovered closes it. It may be done twice.
type effect struct {
	Alert     alertDoc  `bson:"alert"`
	Recovered time.Time `bson:"recovered"`
}

func (db *DB) alerts() *mongo.Collection { return db.in("alerts") }

func (db *DB) runEffects(ctx context.Context, d *deviceDoc) error {
	for _, e := range d.Effects {
		var err error
		if e.Recovered.IsZero() {
			err = db.openAlert(ctx, e.Alert)
		} else {
			_, err = update(ctx, db.alerts(), D{is("_id", e.Alert.ID), is("recovered_at", 0)},
				D{is("$set", D{is("recovered_at", e.Recovered), is("untold", true)})})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// openAlert makes an alert, or raises the streak of one that is there.
func (db *DB) openAlert(ctx context.Context, a alertDoc) error {
	_, err := db.alerts().InsertOne(ctx, a)
	if !mongo.IsDuplicateKeyError(err) {
		return fail(err)
	}
	_, err = update(ctx, db.alerts(), D{is("_id", a.ID)}, D{is("$max", D{is("streak", a.Streak)})})
	return err
}

// settle does a version's effects, and notes that they are done.
func (db *DB) settle(ctx context.Context, d *deviceDoc) error {
	if len(d.Effects) == 0 {
		return nil
	}
	if err := db.runEffects(ctx, d); err != nil {
		return err
	}
	_, err := update(ctx, db.devices(), D{is("_id", d.Key), is("version", d.Version)}, D{is("$set", D{is("effects", nil)})})
	return err
}

// checkAlerts opens and closes the alerts of a device that has just reported the
// fresh events, or was changed.
func (db *DB) checkAlerts(ctx context.Context, d *deviceDoc, fresh []eventDoc, now time.Time) error {
	if d.Silent != "" && (d.State != devsync.Active || d.LastSeen.Equal(now)) {
		d.recover(&d.Silent, now)
	}
	rules, err := db.RulesOf(ctx, d.Group)
	if err != nil {
		return err
	}
	switch fails := d.State == devsync.Active && d.Streak >= rules.Failures; {
	case fails && d.Failing == "":
		failed, err := db.streak(ctx, d, fresh)
		if err != nil || len(failed) == 0 {
			return err
		}
		d.Failing = d.open(devsync.AlertFailing, failed[0].At, now)
	case fails:
		_, err := update(ctx, db.alerts(), D{is("_id", d.Failing)}, D{is("$max", D{is("streak", d.Streak)})})
		return err
	case d.Failing != "":
		d.recover(&d.Failing, now)
	}
	return nil
}

func (d *deviceDoc) open(kind devsync.AlertType, since, now time.Time) string {
	id := uuid.Must(uuid.NewV7()).String()
	d.Effects = append(d.Effects, effect{Alert: alertDoc{
		ID: id, Group: d.Group, Type: kind, Device: d.ID, Since: since, Streak: d.Streak, OpenedAt: now, Untold: true,
	}})
	return id
}

// recover closes an alert and forgets its id.
func (d *deviceDoc) recover(id *string, now time.Time) {
	d.Effects = append(d.Effects, effect{Alert: alertDoc{ID: *id}, Recovered: now})
	*id = ""
}

// silentPage is how many devices OpenSilent looks at in one read.
const silentPage = 1000

// OpenSilent implements devsync.Store. It also goes on where servers stopped that
// died.
func (db *DB) OpenSilent(ctx context.Context, now time.Time) (opened int, err error) {
	if err := db.countLeft(ctx); err != nil {
		return 0, err
	}
	watch, err := db.watch(ctx, now)
	if err != nil {
		return 0, err
	}
	rules := make(map[string]devsync.Rules)
	for after := ""; ; {
		page, err := find[deviceDoc](ctx, db.devices(), D{is("state", devsync.Active), op("_id", "$gt", after)},
			options.Find().SetSort(D{is("_id", 1)}).SetLimit(silentPage))
		if err != nil || len(page) == 0 {
			return opened, err
		}
		after = page[len(page)-1].Key
		for i := range page {
			d := &page[i]
			if err := db.settle(ctx, d); err != nil {
				return opened, err
			}
			r, ok := rules[d.Group]
			if !ok {
				if r, err = db.RulesOf(ctx, d.Group); err != nil {
					return opened, err
				}
				rules[d.Group] = r
			}
			dev := d.device()
			at := r.SilentAt(&dev, watch)
			if d.Silent != "" || at.IsZero() || now.Before(at) {
				continue
			}
			// A device that has reported meanwhile has another version.
			if err := db.markCounted(ctx, d.Applied); err != nil {
				return opened, err
			}
			d.Applied, d.Effects = nil, nil
			d.Silent = d.open(devsync.AlertSilent, d.LastSeen, now)
			done, err := db.writeDevice(ctx, d)
			if err != nil {
				return opened, err
			}
			if done {
				opened++
			}
		}
	}
}

// watchDoc is a devsync.Watch.
type watchDoc struct {
	At   time.Time `bson:"at"`
	From time.Time `bson:"from"`
	To   time.Time `bson:"to"`
}

// watch brings the watch up to date and returns it.
func (db *DB) watch(ctx context.Context, now time.Time) (devsync.Watch, error) {
	last, err := findOne[watchDoc](ctx, db.in("meta"), nil, D{is("_id", "silence")})
	if err != nil {
		return devsync.Watch{}, err
	}
	w := devsync.Watch(last).Next(now)
	return w, upsert(ctx, db.in("meta"), "silence", D{is("$set", watchDoc(w))})
}

// devicesOf reads devices by group and id.
func (db *DB) devicesOf(ctx context.Context, alerts []alertDoc) (map[string]deviceDoc, error) {
	keys := []string{}
	for _, a := range alerts {
		keys = append(keys, deviceKey(a.Group, a.Device))
	}
	docs, err := find[deviceDoc](ctx, db.devices(), D{op("_id", "$in", keys)},
		options.Find().SetProjection(D{is("name", 1), is("state", 1)}))
	found := make(map[string]deviceDoc, len(docs))
	for _, d := range docs {
		found[d.Key] = d
	}
	return found, err
}

func (a alertDoc) alert(name string) devsync.Alert {
	return devsync.Alert{
		ID: a.ID, Group: a.Group, Type: a.Type, Device: a.Device, Name: name, Since: a.Since, Streak: a.Streak,
		OpenedAt: a.OpenedAt, RecoveredAt: a.RecoveredAt,
	}
}

// Alerts implements devsync.Store.
func (db *DB) Alerts(ctx context.Context, q devsync.AlertQuery) ([]devsync.Alert, error) {
	var all []devsync.Alert
	for {
		filter := D{is("group_id", q.Group)}
		if q.Open {
			filter = append(filter, is("recovered_at", 0))
		}
		if q.Before != "" {
			filter = append(filter, op("_id", "$lt", q.Before))
		}
		docs, err := find[alertDoc](ctx, db.alerts(), filter, options.Find().SetSort(D{is("_id", -1)}).SetLimit(int64(q.Limit)))
		if err != nil {
			return nil, err
		}
		devices, err := db.devicesOf(ctx, docs)
		if err != nil {
			return nil, err
		}
		for _, a := range docs {
			q.Before = a.ID
			d := devices[deviceKey(a.Group, a.Device)]
			if d.State == devsync.Active && len(all) < q.Limit {
				all = append(all, a.alert(d.Name))
			}
		}
		if len(docs) < q.Limit || len(all) == q.Limit {
			return all, nil
		}
	}
}

// News implements devsync.Store.
func (db *DB) News(ctx context.Context, limit int) ([]devsync.News, error) {
	docs, err := find[alertDoc](ctx, db.alerts(), D{is("untold", true)}, options.Find().SetSort(D{is("_id", 1)}).SetLimit(int64(limit)))
	if err != nil {
		return nil, err
	}
	devices, err := db.devicesOf(ctx, docs)
	var news []devsync.News
	for _, a := range docs {
		if d, ok := devices[deviceKey(a.Group, a.Device)]; ok {
			news = append(news, devsync.News{Alert: a.alert(d.Name), Recovered: a.Told})
		}
	}
	return news, err
}

// Told implements devsync.Store. An alert that recovered before anybody was told
// of its opening is news twice.
func (db *DB) Told(ctx context.Context, n devsync.News) error {
	told, known := is("told", true), is("untold", false)
	if n.Recovered {
		_, err := update(ctx, db.alerts(), D{is("_id", n.ID)}, D{is("$set", D{told, known})})
		return err
	}
	ok, err := update(ctx, db.alerts(), D{is("_id", n.ID), is("recovered_at", 0)}, D{is("$set", D{told, known})})
	if err == nil && !ok {
		_, err = update(ctx, db.alerts(), D{is("_id", n.ID)}, D{is("$set", D{told})})
	}
	return err
}
