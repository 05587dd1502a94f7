package workload

import (
	"bytes"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

const (
	maxURL   = 2048 // bytes; longer links are left out
	maxTitle = 500  // characters
)

func isHTTP(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// normalize gives a URL the one form under which crawl knows it: no fragment, no
// user, host in lower case, no default port, a path. It changes and returns u.
func normalize(u *url.URL) *url.URL {
	u.Fragment, u.RawFragment, u.User = "", "", nil
	u.Host = strings.ToLower(u.Host)
	if u.Scheme == "http" {
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
	if u.Scheme == "https" {
		u.Host = strings.TrimSuffix(u.Host, ":443")
	}
	if u.Path == "" && isHTTP(u) {
		u.Path = "/"
	}
	return u
}

// readPage returns the title and the http links of an HTML page; of anything
// else, nothing. Links are absolute, normal, sorted, each once.
func readPage(resp *response) (title string, links []string) {
	media, _, _ := mime.ParseMediaType(resp.header.Get("Content-Type"))
	if media != "text/html" && media != "application/xhtml+xml" {
		return "", []string{}
	}
	title, base, hrefs := scanHTML(resp.body)
	from := resp.url
	if u, err := from.Parse(base); err == nil && len(u.String()) <= maxURL { // every link would cost its length
		from = u
	}
	seen := make(map[string]bool)
	for _, href := range hrefs {
		u, err := from.Parse(href)
		if err != nil || !isHTTP(u) || u.Hostname() == "" {
			continue
		}
		if link := normalize(u).String(); len(link) <= maxURL {
			seen[link] = true
		}
	}
	links = slices.Sorted(maps.Keys(seen))
	if links == nil {
		links = []string{}
	}
	return title, links
}

// scanHTML reads tokens only: no tree, so deep nesting costs nothing.
func scanHTML(body []byte) (title, base string, hrefs []string) {
	tokens := html.NewTokenizer(bytes.NewReader(body))
	inTitle, titled := false, false
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return title, base, hrefs
		case html.TextToken:
			if inTitle {
				title = cleanTitle(string(tokens.Text()))
				titled = true
			}
			inTitle = false
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := tokens.TagName()
			switch string(name) {
			case "title":
				inTitle = !titled
			case "a":
				if href, ok := attribute(tokens, more, "href"); ok {
					hrefs = append(hrefs, href)
				}
			case "base":
				if href, ok := attribute(tokens, more, "href"); ok && base == "" {
					base = href
				}
			}
		case html.EndTagToken:
			inTitle = false
		}
	}
}

func attribute(tokens *html.Tokenizer, more bool, name string) (value string, ok bool) {
	for more {
		var key, val []byte
		if key, val, more = tokens.TagAttr(); string(key) == name {
			return strings.TrimSpace(string(val)), true
		}
	}
	return "", false
}

// cleanTitle is the title on one line, in valid UTF-8.
func cleanTitle(text string) string {
	title := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(text, "\ufffd")), " "))
	return string(title[:min(len(title), maxTitle)])
}
