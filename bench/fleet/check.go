package fleet

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// check compares what the server has with what was sent.
func (p *plan) check(ctx context.Context, s Server, o Options, r *Report) error {
	c := newClient(s, 1)
	defer c.http.CloseIdleConnections()
	differ := func(format string, args ...any) {
		if len(r.Mismatches) < maxMismatches {
			r.Mismatches = append(r.Mismatches, fmt.Sprintf(format, args...))
		}
	}
	if err := p.checkDevices(ctx, c, differ); err != nil {
		return err
	}
	if err := p.checkFleet(ctx, c, o, differ); err != nil {
		return err
	}
	return p.checkFailures(ctx, c, differ)
}

// checkDevices compares totals and streaks of all devices, and the whole history
// of one in a hundred.
func (p *plan) checkDevices(ctx context.Context, c *client, differ func(string, ...any)) error {
	seen := 0
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				DeviceID string `json:"device_id"`
				Streak   int    `json:"streak"`
				Totals   struct{ Events, Failed, Partial, Files, Errors int64 }
			}
			NextCursor *string `json:"next_cursor"`
		}
		if err := c.get(ctx, "/api/v1/devices?limit=200&group="+c.Group+"&cursor="+cursor, &page); err != nil {
			return err
		}
		for _, d := range page.Items {
			x := p.want[d.DeviceID]
			if x == nil {
				differ("%s was never sent", d.DeviceID)
				continue
			}
			if seen++; seen%100 == 1 {
				if err := p.checkHistory(ctx, c, d.DeviceID, x, differ); err != nil {
					return err
				}
			}
			got := expected{events: d.Totals.Events, failed: d.Totals.Failed, partial: d.Totals.Partial, files: d.Totals.Files, errors: d.Totals.Errors, streak: d.Streak}
			if want := (expected{events: x.events, failed: x.failed, partial: x.partial, files: x.files, errors: x.errors, streak: x.streak}); fmt.Sprint(got) != fmt.Sprint(want) {
				differ("%s: events, failed, partial, files, errors, streak %v, sent %v", d.DeviceID, got, want)
			}
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	if seen != len(p.want) {
		differ("%d devices, sent %d", seen, len(p.want))
	}
	return nil
}

func (p *plan) checkHistory(ctx context.Context, c *client, device string, x *expected, differ func(string, ...any)) error {
	var events, failed int64
	var last time.Time
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				Timestamp time.Time `json:"timestamp"`
				Errors    int64     `json:"total_errors"`
			}
			NextCursor *string `json:"next_cursor"`
		}
		if err := c.get(ctx, historyOf(device)+"?limit=200&cursor="+cursor, &page); err != nil {
			return err
		}
		for _, e := range page.Items {
			if events++; e.Errors > 0 {
				failed++
			}
			if !last.IsZero() && e.Timestamp.After(last) {
				differ("%s: history is not newest first", device)
			}
			last = e.Timestamp
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	if events != x.events || failed != x.failed {
		differ("%s: history has %d events, %d failed, sent %d, %d", device, events, failed, x.events, x.failed)
	}
	return nil
}

// checkFleet compares the sums of the group.
func (p *plan) checkFleet(ctx context.Context, c *client, o Options, differ func(string, ...any)) error {
	var sums struct {
		Items []struct{ Events, Failed, Files int64 }
	}
	from := o.Until.Add(-2*time.Duration(o.Events)*o.Every - 48*time.Hour)
	to := o.Until.Add(2*time.Duration(o.Events)*o.Every + 48*time.Hour)
	q := url.Values{"by": {"day"}, "from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}
	if err := c.get(ctx, "/api/v1/groups/"+c.Group+"/device-stats?"+q.Encode(), &sums); err != nil {
		return err
	}
	var got, want expected
	for _, s := range sums.Items {
		got.events, got.failed, got.files = got.events+s.Events, got.failed+s.Failed, got.files+s.Files
	}
	for _, x := range p.want {
		want.events, want.failed, want.files = want.events+x.events, want.failed+x.failed, want.files+x.files
	}
	if got.events != want.events || got.failed != want.failed || got.files != want.files {
		differ("the group has %d events, %d failed, %d files, sent %d, %d, %d", got.events, got.failed, got.files, want.events, want.failed, want.files)
	}
	return nil
}

// checkFailures compares repeated failures in both modes. The window of total
// reaches back from the server's now, so failures near its edge count either way.
func (p *plan) checkFailures(ctx context.Context, c *client, differ func(string, ...any)) error {
	const window, edge, page = 24 * time.Hour, 2 * time.Minute, 200
	for _, mode := range []string{"total", "consecutive"} {
		for threshold := 1; threshold < 1000; threshold *= 3 {
			var got struct {
				Items []struct {
					DeviceID         string `json:"device_id"`
					Failures, Streak int
				}
			}
			asked := time.Now()
			path := "/api/sync-event/devices/repeated-failures?limit=" + strconv.Itoa(page) + "&window=24h&mode=" + mode +
				"&group=" + c.Group + "&threshold=" + strconv.Itoa(threshold)
			if err := c.get(ctx, path, &got); err != nil {
				return err
			}
			found := make(map[string]bool)
			for _, f := range got.Items {
				found[f.DeviceID] = true
				x := p.want[f.DeviceID]
				if x == nil {
					differ("%s was never sent", f.DeviceID)
					continue
				}
				least, most := x.since(asked.Add(edge-window)), x.since(asked.Add(-edge-window))
				if f.Failures < least || f.Failures > most || f.Streak != x.streak {
					differ("%s: %d failures, %d in a row, sent %d to %d, %d", f.DeviceID, f.Failures, f.Streak, least, most, x.streak)
				}
			}
			if len(got.Items) == page {
				continue // there are more than one answer has
			}
			for device, x := range p.want {
				since := x.since(asked.Add(edge - window))
				if must := mode == "total" && since > threshold || mode == "consecutive" && x.streak >= threshold && since > 0; must && !found[device] {
					differ("%s is missing among %s failures above %d", device, mode, threshold)
				}
			}
		}
	}
	return nil
}

// since counts failures from t on.
func (x *expected) since(t time.Time) (n int) {
	for _, f := range x.failures {
		if !f.Before(t) {
			n++
		}
	}
	return n
}
