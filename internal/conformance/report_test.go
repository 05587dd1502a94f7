package conformance

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSelect(t *testing.T) {
	tests := map[string]struct {
		names, want []string
		err         string
	}{
		"one":            {[]string{"cancel"}, []string{"cancel"}, ""},
		"in their order": {[]string{"ping", "hello"}, []string{"hello", "ping"}, ""},
		"a family":       {[]string{"close-44*"}, []string{"close-4400", "close-4401", "close-4403", "close-4409", "close-4450", "close-4429"}, ""},
		"unknown":        {[]string{"hello", "helo"}, nil, `there is no case "helo"`},
		"no family":      {[]string{"hello*", "x*"}, nil, `there is no case "x*"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cases, err := Select(tt.names...)
			var got []string
			for _, c := range cases {
				got = append(got, c.Name)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.err == "" && (err != nil || !slices.Equal(got, tt.want)) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	all, err := Select()
	if err != nil || len(all) != len(Cases()) {
		t.Errorf("%d of %d cases, %v", len(all), len(Cases()), err)
	}
}

// Every case has a name of its own and names sections that the page has.
func TestCasesNameTheirRules(t *testing.T) {
	page, err := os.ReadFile("../../docs/worker-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Name] {
			t.Errorf("%s twice", c.Name)
		}
		seen[c.Name] = true
		sections, _, _ := strings.Cut(c.Rule, ":")
		for section := range strings.SplitSeq(sections, ", ") {
			if !bytes.Contains(page, []byte("\n## "+section+". ")) {
				t.Errorf("%s: no section %q", c.Name, section)
			}
		}
	}
}

// With a worker that is started elsewhere, the cases are played one by one, also
// when it has ended and comes anew.
func TestWorkerStartedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for ctx.Err() == nil {
				p, _ := startModel("", m.dial)(ctx, Environment{Token: "told", Name: "by-hand", Slots: 2})
				select {
				case <-p.Done():
				case <-ctx.Done():
				}
				p.Kill()
			}
		}()
		var told []string
		suite := Suite{Listener: m, Cases: WithoutProgram(Cases()), Token: "told", Timeout: time.Minute,
			Tell: func(r Result) { told = append(told, r.Case.Name) }}
		results, err := suite.Run(t.Context())
		stop()
		<-stopped
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if !r.Passed() {
				t.Errorf("%s: %s\n%s", r.Case.Name, r.Failure, r.details())
			}
			if told[i] != r.Case.Name {
				t.Errorf("told %v", told)
			}
		}
	})
}

func TestNobodyComes(t *testing.T) {
	cases, err := Select("hello", "close-4401")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		online  bool
		timeout time.Duration
		want    string
	}{
		"nobody":      {false, time.Minute, "expected a connection within 20s, but none came"},
		"a stranger":  {true, time.Minute, "none came (there was a request without the token it was told"},
		"out of time": {false, time.Second, "the case's time is up"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				start := func(ctx context.Context, env Environment) (Program, error) {
					env.Token = "wrong"
					return startModel("", func(ctx context.Context, network, addr string) (net.Conn, error) {
						if !tt.online {
							return nil, errors.New("no network")
						}
						return m.dial(ctx, network, addr)
					})(ctx, env)
				}
				results, err := Suite{Listener: m, Cases: cases, Start: start, Timeout: tt.timeout, Parallel: 2}.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range results {
					if !strings.Contains(r.Failure, tt.want) {
						t.Errorf("%s: %s", r.Case.Name, r.Failure)
					}
				}
			})
		})
	}
}

// An interrupted run returns what was played, and does not blame the worker for
// the rest.
func TestInterrupted(t *testing.T) {
	cases, err := Select("hello", "ping", "lost-ack", "cancel")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ctx, interrupt := context.WithCancel(t.Context())
		suite := Suite{Listener: m, Cases: cases, Start: startModel("", m.dial), Timeout: time.Minute, Parallel: 1}
		suite.Tell = func(r Result) {
			if r.Case.Name == "cancel" { // the next one takes 10 s
				time.AfterFunc(time.Second, interrupt)
			}
		}
		results, err := suite.Run(ctx)
		var names []string
		for _, r := range results {
			names = append(names, r.Case.Name)
		}
		if want := []string{"hello", "cancel"}; !errors.Is(err, context.Canceled) || !slices.Equal(names, want) {
			t.Errorf("got %v, %v", names, err)
		}
	})
}

func TestReports(t *testing.T) {
	results := []Result{
		{Case: Case{Name: "hello", Rule: "2: hello comes first"}, Took: 1500 * time.Millisecond},
		{Case: Case{Name: "ping", Rule: "5: pong"}, Took: 5 * time.Second, Failure: "expected pong <at once>",
			Frames: []string{`0.100 s  server  {"type":"ping"}`}, Output: "Traceback\n  line 7\n"},
	}
	var table, junit bytes.Buffer
	if err := WriteTable(&table, results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"hello  ok      1.50 s  2: hello comes first\n", "ping   FAILED  5.00 s  5: pong\n", "ping: expected pong <at once>\n",
		`  0.100 s  server  {"type":"ping"}` + "\n", "    Traceback\n      line 7\n", "1 of 2 cases passed\n",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, &table)
		}
	}
	if err := WriteJUnit(&junit, results); err != nil {
		t.Fatal(err)
	}
	var suite junitSuite
	if err := xml.Unmarshal(junit.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 2 || suite.Failures != 1 || suite.Time != "6.500" || suite.Cases[0].Failure != nil ||
		suite.Cases[1].Failure.Message != "expected pong <at once>" || !strings.Contains(suite.Cases[1].Failure.Text, "Traceback") {
		t.Errorf("got %+v\n%s", suite, &junit)
	}
}

func TestWriteList(t *testing.T) {
	var b bytes.Buffer
	if err := WriteList(&b, Cases()); err != nil || strings.Count(b.String(), "\n") != len(Cases()) {
		t.Errorf("%v\n%s", err, &b)
	}
}
