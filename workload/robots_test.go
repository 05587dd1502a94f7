package workload

import (
	"fmt"
	"strings"
	"testing"

	"github.com/temoto/robotstxt"
)

func TestOurRobots(t *testing.T) {
	tests := map[string]struct {
		robots  string
		allowed bool
	}{
		"in a row of others":    {"User-agent: other\nUser-agent: FIRM\nDisallow: /\n\nUser-agent: more\nAllow: /", false},
		"of two groups":         {"User-agent: *\nDisallow: /p\n\nUser-agent: other\nAllow: /\nUser-agent: firmlight\nAllow: /", true},
		"a delay ends a row":    {"User-agent: other\nDisallow: /\nUser-agent: *\nCrawl-delay: 1\nDisallow: /x", true},
		"nothing forbidden":     {"User-agent: firmlight\nDisallow:\nUser-agent: *\nDisallow: /", true},
		"comments, odd writing": {"\ufeffUSERAGENT: * # all\r\ndisallow:/page #x\rSitemap: http://x/", false},
		"longer than our name":  {"User-agent: firmlight-2\nDisallow: /", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, text := range [][]byte{[]byte(tt.robots), ourRobots([]byte(tt.robots), "firmlight")} {
				rules, err := robotstxt.FromBytes(text)
				if err != nil || rules.TestAgent("/page", "firmlight") != tt.allowed {
					t.Errorf("%q: %v", text, err)
				}
			}
		})
	}
	for _, nonsense := range []string{"Disallow: /x", "User-agent: other\nCrawl-delay: soon"} {
		if rules, err := robotstxt.FromBytes(ourRobots([]byte(nonsense), "firmlight")); err == nil {
			t.Errorf("%q: %+v", nonsense, rules)
		}
	}
}

// The library would keep 30,000 times 20,000 rules.
func TestHostileRobots(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "User-agent: a%d\nUser-agent: firmlight\nUser-agent: f\n", i)
	}
	agents := b.String()
	ours := string(ourRobots([]byte(agents+strings.Repeat("Disallow: /x\n", 20_000)+agents), "firmlight"))
	if n := strings.Count(ours, "user-agent"); n != 6 || strings.Count(ours, "disallow") != 20_000 {
		t.Errorf("%d agents in %d bytes", n, len(ours))
	}
	others := string(ourRobots([]byte(strings.ReplaceAll(agents, " f", " x")+strings.Repeat("Disallow: /x\n", 20_000)), "firmlight"))
	if others != "user-agent: -\n" {
		t.Errorf("%d bytes of what is for others", len(others))
	}
}
