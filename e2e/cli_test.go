package e2e

import (
	"encoding/csv"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// office is a server with a worker, and somebody who is logged in there.
type office struct {
	*cluster
	ada *terminalUser
}

func newOffice(t *testing.T) *office {
	c := start(t, "FIRMLIGHT_ARGON2_MEMORY_KIB=64", "FIRMLIGHT_ARGON2_ITERATIONS=1")
	c.worker("lab-1", 4, "--exec", `talk=sh -c "echo one >&2; echo two >&2; echo 1"`, "--exec", `fail=false`)
	o := &office{c, newTerminalUser(t)}
	o.ada.fed("a long password\n", "login", "--server", c.Server.URL, "--user", "ada", "--password-stdin").want(0, "ada")
	return o
}

// user is ada in a test of her own.
func (o *office) user(t *testing.T) *terminalUser {
	u := *o.ada.with("FIRMLIGHT_GROUP=" + o.group)
	u.t = t
	return &u
}

// TestCommandLine runs every command against a real server with a real worker.
func TestCommandLine(t *testing.T) {
	o := newOffice(t)
	t.Run("all", func(t *testing.T) { // returns when the parallel ones have
		for name, test := range map[string]func(*testing.T, *office){
			"login": testCLILogin, "renewal": testCLIRenewal, "tokens": testCLITokens, "submit": testCLISubmit,
			"inputs": testCLIInputs, "watch": testCLIWatch, "lists": testCLILists, "logs": testCLILogs,
			"actions": testCLIActions, "events": testCLIEvents, "statuses": testCLIStatuses, "terminal": testCLITerminal,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, o)
			})
		}
	})
}

func testCLILogin(t *testing.T, o *office) {
	server := o.Server.URL
	u := newTerminalUser(t)
	u.run("groups").want(3, "not logged in", "firmlight login --server http://127.0.0.1:8080")
	u.fed("wrong\n", "login", "--server", server, "-u", "ada", "--password-stdin").want(3)
	u.run("login", "--server", server, "-u", "ada").want(2, "no terminal", "--password-stdin")
	u.run("login", "--server", "tasks.example.org").want(2, "https://")
	away, err := kit.FreeAddress()
	must(t, err)
	u.fed("x", "login", "--server", "http://"+away, "-u", "ada", "--password-stdin").want(5, away, "does not answer")
	if files, _ := filepath.Glob(u.config + "/*/*"); len(files) > 0 {
		t.Fatalf("failed logins left %q", files)
	}

	var in map[string]string
	u.fed("a long password", "login", "--server", server+"/", "-u", "ADA", "--password-stdin", "--json").want(0).json(&in)
	if in["server"] != server || in["username"] != "ada" {
		t.Fatalf("logged in as %v", in)
	}
	for path, mode := range map[string]os.FileMode{
		"firmlight": 0o700, "firmlight/servers": 0o700, "firmlight/current": 0o600,
		"firmlight/servers/" + url.QueryEscape(server) + ".json": 0o600,
	} {
		info, err := os.Stat(filepath.Join(u.config, path))
		must(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
		}
	}
	if files, _ := filepath.Glob(u.config + "/firmlight/servers/*"); len(files) != 1 {
		t.Errorf("the directory of logins has %q", files)
	}
	u.run("whoami").want(0, "ada at "+server)
	// Another name of the same server is another login.
	other := strings.Replace(server, "127.0.0.1", "localhost", 1)
	u.run("whoami", "--server", other).want(3, "not logged in to "+other)
	u.fed("a long password", "login", "--server", other, "-u", "ada", "--password-stdin").want(0)
	u.run("whoami").want(0, "ada at "+other, "also logged in: ada at "+server)
	u.with("FIRMLIGHT_SERVER="+server).run("logout").want(0, server)
	u.run("whoami", "--server", server).want(3)
	u.run("whoami").want(0, other)
	u.run("logout").want(0)
	u.run("logout").want(3)
}

// testCLIRenewal: an access token that has run out is renewed, by several commands
// at a time too, until the login has ended at the server.
func testCLIRenewal(t *testing.T, o *office) {
	u := newTerminalUser(t)
	_, err := kit.Register(t.Context(), o.Server.URL, "bob", "a long password")
	must(t, err)
	u.fed("a long password", "login", "--server", o.Server.URL, "-u", "bob", "--password-stdin").want(0)
	file := filepath.Join(u.config, "firmlight", "servers", url.QueryEscape(o.Server.URL)+".json")
	var login map[string]string
	read := func() {
		data, err := os.ReadFile(file)
		must(t, err)
		must(t, json.Unmarshal(data, &login))
	}
	read()
	first := login["refresh_token"]
	login["access_token"] = "expired"
	data, err := json.Marshal(login)
	must(t, err)
	must(t, os.WriteFile(file, data, 0o600))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if got := u.run("whoami"); got.status != 0 {
				t.Errorf("ended with %d: %s", got.status, got.err)
			}
		})
	}
	all.Wait()
	read()
	if login["refresh_token"] == first || login["access_token"] == "expired" {
		t.Error("the new tokens were not kept")
	}
	must(t, kit.NewClient(o.Server.URL, login["access_token"]).Do(t.Context(), "POST", "/auth/logout-all", nil, nil))
	u.run("whoami").want(3, "has ended", "firmlight login")
}

func testCLITokens(t *testing.T, o *office) {
	u := o.user(t)
	made := u.run("tokens", "create", "api", "mine", "--scope", "tasks:read", "--group", "analytical ENGINES", "--expires", "24h").want(0)
	if !strings.HasPrefix(made.line(), "fla_") || !strings.Contains(made.err, "only time") {
		t.Fatalf("printed %q and %q", made.out, made.err)
	}
	secret := made.line()
	var all []struct {
		ID, Name string
		Groups   []string
	}
	u.run("tokens", "--json").want(0).json(&all)
	id := ""
	for _, one := range all {
		if one.Name == "mine" && len(one.Groups) == 1 && one.Groups[0] == o.group {
			id = one.ID
		}
	}
	api := newTerminalUser(t, "FIRMLIGHT_SERVER="+o.Server.URL, "FIRMLIGHT_TOKEN="+secret)
	api.run("groups").want(3, "scope")
	api.run("whoami").want(0, "ada")
	api.run("tokens").want(3)
	u.run("tokens", "revoke", id).want(2, "--yes")
	u.run("tokens", "revoke", "-y", id).want(0, id+" revoked")
	u.run("tokens", "revoke", "-y", id).want(4)
	api.run("whoami").want(3, "FIRMLIGHT_TOKEN")
	u.run("whoami", "--token", o.token).want(3, "of another kind")
	u.run("tokens", "create", "key", "x").want(2, "worker")
	u.run("tokens", "create", "device", "x").want(2, "groups")
	u.run("tokens", "create", "api", "x", "--expires", "tomorrow").want(2, "--expires")
	u.run("tokens", "create", "api", "x", "-g", "nobody's").want(4, "nobody's")
}

func testCLISubmit(t *testing.T, o *office) {
	u := o.user(t)
	id := u.run("submit", "echo", `{"a":1}`, "--title", "first").want(0).line()
	u.run("watch", id).want(0, id+" succeeded")
	u.run("result", id).want(0, `{"a":1}`)
	u.fed(`[1,2]`, "submit", "echo", "-", "--wait").want(0, "[1,2]")
	u.run("submit", "echo", "--wait", "--file", u.file("in.json", `"x"`)).want(0, `"x"`)
	got := u.run("submit", "factorize", `{"n":"1000000016000000063"}`, "--split", "4", "-w").want(0, "1000000007", "1000000009")
	if !strings.Contains(got.err, "4 of 4 parts") {
		t.Errorf("nothing was said of the parts: %s", got.err)
	}
	u.run("submit", "echo", `1`, "--broadcast", "--reduce", "sum", "-w").want(0, "1")
	var task kit.Task
	u.run("submit", "echo", `1`, "--json", "--priority", "high", "--run-at", "1h", "--key", "k").want(0).json(&task)
	if task.Status != "scheduled" || task.Priority != "high" {
		t.Errorf("task %+v", task)
	}
	u.run("result", task.ID).want(4)
	u.run("submit", "echo", `1`, "--key", "k").want(6)
	u.run("cancel", task.ID).want(0, task.ID+" cancelled")
	u.run("watch", task.ID).want(1, "was cancelled")
	u.run("submit", "fail", "1", "--max-attempts", "1", "--wait").want(1, "failed")

	u.run("submit", "echo", "hello").want(2, "is not JSON")
	u.run("submit", "echo", "--file", "/nowhere/x.json").want(2, "/nowhere/x.json")
	u.run("submit", "echo", "1", "--file", "x").want(2, "once")
	u.run("submit", "echo", "1", "--priority", "urgent").want(2, "priority")
	u.run("submit", "No such", "1").want(2, "kind")
	u.run("submit", "nobodys", "1", "--split", "workers").want(2)
	u.run("submit", "nobodys", "1", "--broadcast").want(6)
	u.run("submit", "echo", "1", "--group", "none of mine").want(4, "none of mine")
	u.run("submit", "echo", "1", "--run-at", "noon").want(2, "--run-at")
}

func testCLIInputs(t *testing.T, o *office) {
	u := o.user(t)
	u.fed("1\n\n2\n3\n", "submit", "echo", "--inputs", "-", "--reduce", "sum", "--wait").want(0, "6")
	u.run("submit", "echo", "--wait", "--inputs", u.file("in.ndjson", "\"a\"\n\"b\"\n")).want(0, `["a","b"]`)
	u.fed("1\n2\n{no\n", "submit", "echo", "--inputs", "-").want(2, "line 3 of standard input is not JSON")
	u.run("submit", "echo", "--inputs", u.file("bad.ndjson", "1\n\nx\n")).want(2, "line 3 of ", "bad.ndjson")
	u.fed("\n", "submit", "echo", "--inputs", "-").want(2, "no lines")
}

func testCLIWatch(t *testing.T, o *office) {
	u := o.user(t)
	id := u.run("submit", "sleep", `{"ms":600000}`).want(0).line()
	w := u.begin("watch", id)
	w.says("running on lab-1")
	must(t, w.cmd.Process.Signal(os.Interrupt))
	w.says("goes on. Watch it again with: firmlight watch " + id)
	w.ends(130)
	w = u.begin("watch", id, "--json")
	w.says(`"type":"task"`)
	u.run("cancel", id).want(0)
	w.ends(1)
	for line := range strings.Lines(strings.Split(w.String(), "firmlight: ")[0]) {
		var m struct{ Type, Topic string }
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Topic != "task:"+id {
			t.Errorf("watch --json printed %q", line)
		}
	}
	two := u.run("submit", "echo", "2").want(0).line()
	u.run("watch", two, id).want(1, id+" was cancelled")
	u.run("watch", nobodyID).want(4)
	u.run("watch", two, "nothing").want(4)
}

func testCLILists(t *testing.T, o *office) {
	u := o.user(t)
	u.run("submit", "echo", "1", "--wait", "--title", "=HYPERLINK(0) rare").want(0)
	u.run("tasks", "-q", "rare").want(0, "ID ", "STATUS", "succeeded", "lab-1", "=HYPERLINK")
	rows, err := csv.NewReader(strings.NewReader(u.run("tasks", "-q", "rare", "-o", "csv").want(0).out)).ReadAll()
	must(t, err)
	if len(rows) != 2 || rows[0][1] != "status" || rows[1][1] != "succeeded" || rows[1][3] != "'=HYPERLINK(0) rare" {
		t.Errorf("as CSV: %q", rows)
	}
	for _, args := range [][]string{{"-o", "json"}, {"--json"}, {"--json", "-s", "succeeded", "-k", "echo", "--created-after", "1h"}} {
		var tasks []map[string]any
		u.run(append([]string{"tasks", "-q", "rare"}, args...)...).want(0).json(&tasks)
		if len(tasks) != 1 || tasks[0]["input_bytes"] == nil {
			t.Errorf("%q: %v", args, tasks)
		}
		id := tasks[0]["id"].(string)
		u.run("task", id).want(0, "what happened", "assigned", "lab-1")
	}
	if out := u.run("tasks", "-q", "rare", "--created-before", "1h", "--json").want(0).line(); out != "[]" {
		t.Errorf("no task is %q", out)
	}
	var tasks []kit.Task
	u.run("tasks", "-n", "1", "--json").want(0).json(&tasks)
	if len(tasks) != 1 {
		t.Errorf("-n 1 gives %d", len(tasks))
	}
	u.run("tasks", "-o", "xml").want(2, "output")
	u.run("tasks", "--created-after", "soon").want(2, "--created-after")
	u.run("groups").want(0, "Analytical engines", "owner")
	u.run("workers").want(0, "lab-1", "connected", "firmlight-go/", "factorize")
	u.run("workers", "--mine", "-o", "csv").want(0, "lab-1,connected")
	u.run("version").want(0, "firmlight")
	u.run("version", "--json").want(0, `{"version":`)
}

func testCLILogs(t *testing.T, o *office) {
	u := o.user(t)
	id := u.run("submit", "talk", "1").want(0).line()
	if got := u.run("logs", "-f", id).want(0).out; got != "one\ntwo\n" {
		t.Errorf("followed %q", got)
	}
	if got := u.run("logs", id).want(0).out; got != "one\ntwo\n" {
		t.Errorf("printed %q", got)
	}
	lines := strings.Split(u.run("logs", id, "--json").want(0).line(), "\n")
	var line struct {
		Line string
		Seq  int
	}
	must(t, json.Unmarshal([]byte(lines[1]), &line))
	if len(lines) != 2 || line.Line != "two" || line.Seq != 2 {
		t.Errorf("as JSON %q", lines)
	}
	u.run("logs", nobodyID).want(4)
	id = u.run("submit", "sleep", `{"ms":600000}`).want(0).line()
	l := u.begin("logs", "-f", id)
	u.run("cancel", id).want(0)
	l.ends(0)
}

func testCLIActions(t *testing.T, o *office) {
	u := o.user(t)
	// In a group of its own: it is about all tasks of one.
	g := u.run("groups", "create", "Busy").want(0).line()
	u = u.with("FIRMLIGHT_GROUP=Busy")
	var ids []string
	for range 3 {
		ids = append(ids, u.run("submit", "nobodys", "1").want(0).line())
	}
	u.run("cancel").want(2, "which tasks")
	u.run("cancel", ids[0], "--all").want(2, "not both")
	u.run("retry", ids[0]).want(6)
	u.run("cancel", "--kind", "nobodys").want(2, "Cancel 3 tasks", "--yes")
	u.run("cancel", "--kind", "other").want(0, "0 tasks cancelled")
	u.run("cancel", ids[0], "nothing").want(4, "nothing")
	u.run("cancel", "--kind", "nobodys", "-y").want(0, "2 tasks cancelled")
	u.run("retry", ids[0]).want(0, ids[0]+" queued again")
	var n struct{ Count int }
	u.run("retry", "--all", "-g", g, "--yes", "--json").want(0).json(&n)
	if n.Count != 2 {
		t.Errorf("retried %d", n.Count)
	}
	// Two groups: which one is meant has to be said.
	two := newTerminalUser(t)
	two.config = u.config
	two.run("tasks").want(2, "--group", "Busy", "Analytical engines")
}

func testCLIEvents(t *testing.T, o *office) {
	u := o.user(t)
	secret := u.run("tokens", "create", "device", "field", "-g", o.group).want(0).line()
	d := newTerminalUser(t, "FIRMLIGHT_SERVER="+o.Server.URL, "FIRMLIGHT_TOKEN="+secret)
	now := time.Now().UTC().Format(time.RFC3339)
	event := func(device string) string {
		return `{"device_id":"` + device + `","timestamp":"` + now + `","total_files_synced":1,"total_errors":0,"internet_speed":1}` + "\n"
	}
	d.fed(event("a")+"\n"+event("b")+event("a"), "events", "send").want(0, "2 new, 1 repeated, 0 refused")
	got := d.fed(event("c")+"{no\n"+event("")+event("d"), "events", "send", "--json").want(2, "line 2 is not JSON", "line 3 is refused", "device_id", "2 lines were refused")
	if got.line() != `{"new":2,"repeated":0,"refused":2}` {
		t.Errorf("printed %q", got.out)
	}
	d.run("events", "send", u.file("events", event("e"))).want(0, "1 new")
	d.run("events", "send", "/nowhere").want(2, "/nowhere")
	d.fed(strings.Repeat("x", 70<<10), "events", "send").want(2, "line 1", "longer")
	u.fed(event("f"), "events", "send").want(3, "another kind")
	u.run("devices", "-g", o.group).want(0, "DEVICE", "STATUS", "a  ", "ok")
	u.run("devices", "-q", "b", "-o", "csv").want(0, "b,,active,ok,0,,1,0,")
}

// testCLIStatuses: what scripts go by.
func testCLIStatuses(t *testing.T, o *office) {
	u := o.user(t)
	away, err := kit.FreeAddress()
	must(t, err)
	for name, tt := range map[string]struct {
		status int
		args   []string
	}{
		"help":             {0, nil},
		"help of one":      {0, []string{"submit", "--help"}},
		"unknown command":  {2, []string{"dance"}},
		"unknown flag":     {2, []string{"tasks", "--colour"}},
		"missing argument": {2, []string{"result"}},
		"bad token":        {3, []string{"groups", "--token", "nonsense"}},
		"no such task":     {4, []string{"task", nobodyID}},
		"slashes in an id": {4, []string{"task", "../groups"}},
		"server away":      {5, []string{"groups", "--server", "http://" + away, "--token", "x"}},
		"wrong state":      {6, []string{"retry", u.run("submit", "nobodys", "1").want(0).line()}},
	} {
		t.Run(name, func(t *testing.T) {
			v := *u
			v.t = t
			got := v.run(tt.args...)
			got.want(tt.status)
			if tt.status != 0 && (got.out != "" || !strings.HasPrefix(got.err, "firmlight: ")) {
				t.Errorf("printed %q and %q", got.out, got.err)
			}
		})
	}
}

// testCLITerminal: questions, bars and colours are for people.
func testCLITerminal(t *testing.T, o *office) {
	u := newTerminalUser(t)
	s, press := u.atTerminal("login", "--server", o.Server.URL)
	s.says("Username or email")
	press("ada\n")
	s.says("Password: ")
	s.hides()
	press("a long password\n")
	s.says("Logged in to")
	s.ends(0)
	if strings.Contains(s.String(), "a long password") {
		t.Errorf("the password was shown: %q", s)
	}
	s, press = u.atTerminal("login", "-u", "ada")
	s.says("Password: ")
	press("\x03")
	s.ends(130)

	group := "FIRMLIGHT_GROUP=" + o.group
	s, _ = u.with(group).atTerminal("submit", "factorize", `{"n":"1000000016000000063"}`, "--split", "3", "-w")
	s.ends(0)
	s.says("succeeded, 3 of 3 parts")
	s.says("\x1b[")
	s, _ = u.with(group).atTerminal("tasks")
	s.ends(0)
	s.says("\x1b[32msucceeded\x1b[0m")
	for name, plain := range map[string]*terminalUser{"NO_COLOR": u.with(group, "NO_COLOR=1"), "a dumb terminal": u.with(group, "TERM=dumb")} {
		s, _ = plain.atTerminal("tasks")
		s.ends(0)
		if strings.Contains(s.String(), "\x1b[") {
			t.Errorf("colours with %s: %q", name, s)
		}
	}
	if out := u.with(group).run("tasks").want(0).out; strings.Contains(out, "\x1b") {
		t.Errorf("colours without a terminal: %q", out)
	}

	id := u.with(group).run("submit", "nobodys", "1", "--title", "unasked").want(0).line()
	s, press = u.with(group).atTerminal("cancel", "-q", "unasked")
	s.says("Cancel 1 tasks? [y/N]")
	press("\n")
	s.ends(6)
	s, press = u.with(group).atTerminal("cancel", "-q", "unasked")
	s.says("[y/N]")
	press("y\n")
	s.ends(0)
	u.run("watch", id).want(1)
}

// TestCompletion runs what bash runs when somebody presses the tab key.
func TestCompletion(t *testing.T) {
	u := newTerminalUser(t)
	for shell, word := range map[string]string{"bash": "complete -o default -F", "zsh": "compdef", "fish": "complete -c firmlight"} {
		u.run("completion", shell).want(0, word)
	}
	u.run("completion", "tcsh").want(2, "bash")
	script := u.file("completion", u.run("completion", "bash").out)
	for typed, want := range map[string]string{
		"su": "submit", "tokens cr": "create", "tasks --status su": "succeeded", "tasks --li": "--limit",
		"tokens create de": "device", "tasks -o c": "csv", "submit --file ": "", "completion f": "fish",
		"__comp": "", "groups --out": "--output",
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", `
			PATH="$2:$PATH"; source "$1"; COMP_WORDS=(firmlight $3 ${4+"$4"}); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			_firmlight; echo "${COMPREPLY[*]}"`, "bash", script, filepath.Dir(firmlight), typed)
		if strings.HasSuffix(typed, " ") {
			cmd.Args = append(cmd.Args, "")
		}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q becomes %q (%v), want %q", typed, got, err, want)
		}
	}
}

// TestWatchOutlivesTheServer: a command that waits goes on with the server that
// comes back.
func TestWatchOutlivesTheServer(t *testing.T) {
	c := start(t)
	u := newTerminalUser(t, "FIRMLIGHT_SERVER="+c.Server.URL, "FIRMLIGHT_TOKEN="+c.Token)
	s := u.begin("submit", "echo", `"late"`, "--wait")
	s.says("queued")
	c.Kill()
	s.says("is lost; trying again")
	must(t, c.Restart())
	c.worker("lab-1", 1)
	s.ends(0)
	s.says(`"late"`)
}
