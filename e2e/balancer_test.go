package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// balancerAddr is where the balancer speaks to servers from, so that they can
// tell it from the tests.
const balancerAddr = "127.0.0.2"

// startBalancer runs HAProxy with the configuration of deploy in front of servers,
// given by their URLs, and returns its own.
func startBalancer(t *testing.T, servers ...string) (url string) {
	t.Helper()
	b, err := os.ReadFile("../deploy/haproxy/haproxy.cfg")
	must(t, err)
	addr, err := kit.FreeAddress()
	must(t, err)
	var lines []string
	for i, s := range servers {
		addr, source := strings.TrimPrefix(s, "http://"), ""
		if strings.HasPrefix(addr, "127.") {
			source = " source " + balancerAddr
		}
		lines = append(lines, fmt.Sprintf("    server s%d %s check%s", i, addr, source))
	}
	text := string(b)
	for place, instead := range map[string]string{
		`(?m)^    bind :8080$`: "    bind " + addr, `(?m)^    server-template .*$`: strings.Join(lines, "\n"),
	} {
		re := regexp.MustCompile(place)
		if !re.MatchString(text) {
			t.Fatalf("haproxy.cfg has no %s", place)
		}
		text = re.ReplaceAllLiteralString(text, instead)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		bin = "/usr/sbin/haproxy" // not in everybody's path
	}
	p, err := kit.StartProcess(bin, []string{"-db", "-f", file}, nil, nil)
	must(t, err)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("HAProxy:\n%s", p.Output())
		}
	})
	url = "http://" + addr
	eventually(t, 20*time.Second, "HAProxy answers", func() bool {
		select {
		case <-p.Done():
			t.Fatal("HAProxy has ended")
		default:
		}
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return url
}

// through is the cluster as those see it who know the balancer only.
func (c *cluster) through(url string) *cluster {
	client, server := *c.Client, *c.Server
	client.URL, server.URL = url, url
	return &cluster{Server: &server, Client: &client, t: c.t, group: c.group, token: c.token}
}

// ends reads a live socket until it has told of n tasks' ends.
func (c *cluster) ends(n int) <-chan error {
	ended, subscribed := make(chan error, 1), make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
		defer cancel()
		ended <- c.Watch(ctx, []string{"group:" + c.group}, func(e kit.Event) bool {
			switch {
			case e.Type == "subscribed":
				close(subscribed)
			case e.Task != nil && e.Task.Ended():
				n--
			}
			return n > 0
		})
		if n > 0 {
			c.t.Errorf("%d ends were not told", n)
		}
	}()
	select {
	case <-subscribed:
	case err := <-ended:
		c.t.Fatalf("live: %v", err)
	}
	return ended
}

// TestBehindBalancer: submits, a worker and a live socket go through HAProxy; a
// server that is killed behind it gets its worker back, with the running task.
func TestBehindBalancer(t *testing.T) {
	behind := start(t)
	c := behind.through(startBalancer(t, behind.Server.URL))
	c.worker("w", 2)
	c.connected(1)
	told := c.ends(3)
	for range 3 {
		c.wait(c.submit(map[string]any{"kind": "echo", "input": 1}).ID, "succeeded")
	}
	must(t, <-told)

	long := c.submit(map[string]any{"kind": "sleep", "input": map[string]any{"ms": 3000}})
	c.working(long.ID)
	behind.Server.Kill()
	resp, err := http.Get(c.Server.URL + "/readyz")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without a server: %s", resp.Status)
	}
	must(t, behind.Server.Restart())
	eventually(t, 20*time.Second, "the server is found again", func() bool {
		_, err := c.Get(t.Context(), long.ID)
		return err == nil
	})
	if got := c.wait(long.ID, "succeeded"); got.Attempt != 1 || got.Reassignments != 0 {
		var timeline any
		must(t, c.Do(t.Context(), http.MethodGet, "/tasks/"+long.ID+"/timeline", nil, &timeline))
		t.Errorf("attempt %d, %d reassignments: the worker did not come back to it: %v", got.Attempt, got.Reassignments, timeline)
	}
	told = c.ends(1)
	c.wait(c.submit(map[string]any{"kind": "echo", "input": 2}).ID, "succeeded")
	must(t, <-told)
}

// TestBalancerOfTwo: while one of two servers is killed and comes back, nobody who
// asks the balancer notices, and the tasks of its workers are done.
func TestBalancerOfTwo(t *testing.T) {
	first, second := startTwo(t)
	c := first.through(startBalancer(t, first.Server.URL, second.URL))
	for i := range 4 { // by turns: each server has some
		c.worker(fmt.Sprint("w", i), 1)
	}
	c.connected(4)
	var ids []string
	sleep := func(ms int) {
		ids = append(ids, c.submit(map[string]any{"kind": "sleep", "input": map[string]int{"ms": ms}}).ID)
	}
	for range 4 {
		sleep(8000)
	}
	for _, id := range ids {
		c.running(id)
	}
	second.Kill()
	for range 20 { // each of them would fail the test
		sleep(1)
	}
	must(t, second.Restart())
	for range 4 {
		sleep(1)
	}
	for _, id := range ids {
		c.wait(id, "succeeded")
	}
}

// TestForwardedAddress: the address of a client is what the balancer says it is,
// and nobody else is believed.
func TestForwardedAddress(t *testing.T) {
	behind := start(t, "FIRMLIGHT_TRUSTED_PROXIES="+balancerAddr+"/32")
	front := startBalancer(t, behind.Server.URL)
	const client, lie = "127.0.0.3", "198.51.100.7"
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	for name, url := range map[string]string{"through the balancer": front, "directly": behind.Server.URL} {
		t.Run(name, func(t *testing.T) {
			c := kit.NewClient(url, "")
			c.HTTP = &http.Client{Transport: forwarding{&http.Transport{DialContext: from.DialContext}, lie}}
			var in struct {
				Token string `json:"access_token"`
			}
			must(t, c.Do(t.Context(), "POST", "/auth/login", map[string]string{"login": "ada", "password": "a long password"}, &in))
			c.Token = in.Token
			var sessions struct{ Items []struct{ Address string } }
			must(t, c.Do(t.Context(), "GET", "/me/sessions", nil, &sessions))
			if len(sessions.Items) == 0 || sessions.Items[0].Address != client {
				t.Errorf("sessions %+v, the newest is from %s", sessions.Items, client)
			}
		})
	}
}

// forwarding claims to forward for somebody.
type forwarding struct {
	http.RoundTripper
	addr string
}

// RoundTrip implements http.RoundTripper.
func (f forwarding) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", f.addr)
	return f.RoundTripper.RoundTrip(r)
}
