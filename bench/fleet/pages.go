package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Times are how long requests took.
type Times []time.Duration

// Quantile returns the time that the share q (0 to 1) of all did not exceed; 0
// without any.
func (t Times) Quantile(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[max(0, int(math.Ceil(q*float64(len(t))))-1)]
}

// Page is a kind of question and how long its answers took.
type Page struct {
	Name string
	Goal time.Duration // that 99 of 100 answers shall keep; 0: none
	Times
}

// Goals at 10,000 devices with 1,000,000 events.
const (
	historyGoal  = 10 * time.Millisecond
	failuresGoal = 50 * time.Millisecond
)

// maxWalk bounds how many pages of one history are read.
const maxWalk = 50

// Pages asks a server that has the fleet of o each kind of question n times, one
// after the other.
func Pages(ctx context.Context, s Server, o Options, n int) ([]Page, error) {
	c := newClient(s, 1)
	defer c.http.CloseIdleConnections()
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	device := func() string { return deviceID(rng.IntN(o.Devices)) }
	pages, err := c.walks(ctx, device, n)
	if err != nil {
		return pages, err
	}
	failures := "/api/sync-event/devices/repeated-failures?group=" + s.Group + "&threshold=3&"
	group := "/api/v1/groups/" + s.Group
	from := url.QueryEscape(o.Until.Add(-40 * 24 * time.Hour).Format(time.RFC3339))
	for _, q := range []struct {
		name string
		goal time.Duration
		path func() string
	}{
		{"history: failed only", historyGoal, func() string { return historyOf(device()) + "?status=failed" }},
		{"repeated failures: total in 24 h", failuresGoal, func() string { return failures + "window=24h" }},
		{"repeated failures: total in 90 days", failuresGoal, func() string { return failures + "window=90d" }},
		{"repeated failures: consecutive, 24 h", failuresGoal, func() string { return failures + "mode=consecutive&window=24h" }},
		{"repeated failures: consecutive, 90 days", failuresGoal, func() string { return failures + "mode=consecutive&window=90d" }},
		{"statistics of the fleet by day", 0, func() string { return group + "/device-stats?by=day" }},
		{"statistics of the fleet by hour, 40 days", 0, func() string { return group + "/device-stats?by=hour&from=" + from }},
		{"devices: beginning of the id", 0, func() string { return "/api/v1/devices?group=" + s.Group + "&q=" + device()[:11] }},
		{"devices: retired (none are)", 0, func() string { return "/api/v1/devices?state=retired&group=" + s.Group }},
		{"one device", 0, func() string { return "/api/v1/devices/" + device() }},
		{"statistics of a device by hour", 0, func() string { return "/api/v1/devices/" + device() + "/stats?by=hour" }},
		{"open alerts", 0, func() string { return group + "/alerts?open=true" }},
	} {
		p := Page{Name: q.name, Goal: q.goal}
		for range n {
			if _, err := c.timed(ctx, q.path(), &p.Times); err != nil {
				return pages, err
			}
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// walks reads histories and the list of devices from their first pages to later
// ones, until it has n of each.
func (c *client) walks(ctx context.Context, device func() string, n int) ([]Page, error) {
	pages := []Page{
		{Name: "history: newest page", Goal: historyGoal}, {Name: "history: by cursor", Goal: historyGoal},
		{Name: "devices: first page"}, {Name: "devices: by cursor"},
	}
	list := func() string { return "/api/v1/devices?group=" + c.Group }
	for i, start := range []func() string{func() string { return historyOf(device()) + "?" }, list} {
		first, later := &pages[2*i].Times, &pages[2*i+1].Times
		for len(*first) < n {
			path := start()
			next, err := c.timed(ctx, path, first)
			for step := 1; err == nil && next != "" && step < maxWalk && len(*later) < n; step++ {
				next, err = c.timed(ctx, path+"&cursor="+next, later)
			}
			if err != nil {
				return pages, err
			}
		}
	}
	return pages, nil
}

// timed asks once, adds the time until the answer was read, and returns the cursor
// of the next page, if there is one.
func (c *client) timed(ctx context.Context, path string, times *Times) (next string, err error) {
	var page struct {
		NextCursor *string `json:"next_cursor"`
	}
	began := time.Now()
	if err := c.get(ctx, path, &page); err != nil {
		return "", err
	}
	*times = append(*times, time.Since(began))
	if page.NextCursor != nil {
		next = *page.NextCursor
	}
	return next, nil
}

func historyOf(device string) string { return "/api/sync-event/device/" + device + "/sync-history" }

// Exported is what an export of all events was.
type Exported struct {
	Events int
	Bytes  int64
	Took   time.Duration
}

// Export reads the CSV of all events of the group.
func Export(ctx context.Context, s Server) (e Exported, err error) {
	began := time.Now()
	err = s.export(ctx, "", func(line string) bool {
		e.Bytes += int64(len(line))
		e.Events++
		return true
	})
	e.Events-- // the names of the columns
	e.Took = time.Since(began)
	return e, err
}

// AnyBefore reports whether the group has an event from before a time.
func AnyBefore(ctx context.Context, s Server, t time.Time) (bool, error) {
	lines := 0
	err := s.export(ctx, "?to="+url.QueryEscape(t.Format(time.RFC3339)), func(string) bool {
		lines++
		return lines < 2
	})
	return lines > 1, err
}

// HasEvents reports whether a device of the fleet, by its number, has any left.
func HasEvents(ctx context.Context, s Server, number int) (bool, error) {
	c := newClient(s, 1)
	defer c.http.CloseIdleConnections()
	var page struct{ Items []struct{} }
	err := c.get(ctx, historyOf(deviceID(number))+"?limit=1", &page)
	return len(page.Items) > 0, err
}

// export calls line with each line of the CSV until it returns false.
func (s Server) export(ctx context.Context, query string, line func(string) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/groups/"+s.Group+"/sync-events/export"+query, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.ReadToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the export answered %s", res.Status)
	}
	lines := bufio.NewReader(res.Body)
	for {
		text, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || !line(text) {
			return err
		}
	}
}
