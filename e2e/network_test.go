package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// network is a bridge of this machine, and a network namespace for each server
// that is plugged into it.
type network struct {
	name string // of the bridge; the namespaces' begin with it
	host string // this machine's address on it
	net  string // the first three parts of all addresses
}

const networkPrefix = "flt" // and the process id

// startNetwork makes a network that is gone after the test; nil where that is not
// wanted, or not allowed: then servers are cut off by relays only.
func startNetwork(t *testing.T) *network {
	t.Helper()
	if !namespaces {
		return nil
	}
	sweepNetworks(t)
	pid := os.Getpid()
	n := &network{name: fmt.Sprint(networkPrefix, pid), net: fmt.Sprintf("10.213.%d.", pid%250)}
	n.host = n.net + "1"
	if err := ip("link", "add", n.name, "type", "bridge"); err != nil {
		t.Logf("no network namespaces, servers are not unplugged: %v", err)
		return nil
	}
	t.Cleanup(func() { must(t, ip("link", "del", n.name)) })
	must(t, ip("addr", "add", n.host+"/24", "dev", n.name))
	must(t, ip("link", "set", n.name, "up"))
	return n
}

// house makes a namespace with a cable to the bridge. It returns what starts bin in
// there, where it is to listen, and what pulls the cable or puts it back.
func (n *network) house(t *testing.T, i int, bin string) (inside, listen string, plug func(in bool) error) {
	t.Helper()
	space, cable, addr := fmt.Sprint(n.name, "-", i), fmt.Sprint(n.name, "v", i), fmt.Sprint(n.net, 10+i)
	must(t, ip("netns", "add", space))
	t.Cleanup(func() { must(t, ip("netns", "del", space)) })
	must(t, ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space))
	// By itself it goes with the namespace, and that stays as long as the kernel tries to
	// end a connection in there, which it cannot.
	t.Cleanup(func() { must(t, ip("link", "del", cable)) })
	for _, step := range [][]string{
		{"link", "set", cable, "master", n.name, "up"},
		{"-n", space, "addr", "add", addr + "/24", "dev", "eth0"},
		{"-n", space, "link", "set", "eth0", "up"},
		{"-n", space, "link", "set", "lo", "up"},
	} {
		must(t, ip(step...))
	}
	inside = filepath.Join(t.TempDir(), "inside")
	must(t, os.WriteFile(inside, fmt.Appendf(nil, "#!/bin/sh\nexec ip netns exec %s %s \"$@\"\n", space, bin), 0o700))
	return inside, addr + ":8080", func(in bool) error {
		if in {
			return ip("link", "set", cable, "master", n.name)
		}
		return ip("link", "set", cable, "nomaster")
	}
}

// sweepNetworks removes what tests left that were killed.
func sweepNetworks(t *testing.T) {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return // there are none
	}
	for line := range strings.Lines(string(out)) {
		space, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		bridge, _, _ := strings.Cut(space, "-")
		pid, err := strconv.Atoi(strings.TrimPrefix(bridge, networkPrefix))
		if err != nil || !strings.HasPrefix(bridge, networkPrefix) {
			continue
		}
		if _, err := os.Stat(fmt.Sprint("/proc/", pid)); err == nil {
			continue // its test runs
		}
		_ = ip("link", "del", bridge) // went with another of its namespaces
		must(t, ip("netns", "del", space))
	}
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
