package workload

import (
	"bytes"
	"strings"
)

// ourRobots is a robots.txt without what it says to others, each agent of a row
// once. The library keeps every rule for every agent above it: of a hostile text
// that would be more than any memory holds.
func ourRobots(robots []byte, name string) []byte {
	const others = "-"
	var ours bytes.Buffer
	agents := make(map[string]bool) // of the row
	row := false                    // the line before names an agent
	robots = bytes.TrimPrefix(robots, []byte("\ufeff"))
	for line := range bytes.FieldsFuncSeq(robots, func(r rune) bool { return r == '\n' || r == '\r' }) {
		text, _, _ := strings.Cut(string(line), "#")
		field, value, _ := strings.Cut(text, ":")
		field, value = strings.ToLower(strings.TrimSpace(field)), strings.TrimSpace(value)
		switch field {
		case "user-agent", "useragent":
			if !row {
				clear(agents)
				row = true
			}
			value = strings.ToLower(value)
			if value != "*" && (value == "" || !strings.HasPrefix(name, value)) {
				value = others
			}
			if agents[value] {
				continue
			}
			agents[value] = true
		case "allow", "disallow":
			row = false
			if len(agents) == 1 && agents[others] {
				continue
			}
		case "crawl-delay", "crawldelay":
			row = false
		default:
			continue
		}
		ours.WriteString(field + ": " + value + "\n")
	}
	return ours.Bytes()
}
