package httpapi

import (
	_ "embed"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed document.html
var documentHTML string

// documentRoutes serves the OpenAPI document and the page made of it, which
// needs no script and nothing from elsewhere. Both are rendered once, when first
// asked for: by then every route is registered.
func (a *API) documentRoutes() {
	document := sync.OnceValues(a.openAPI)
	page := sync.OnceValues(a.renderPage)
	serve := func(contentType string, content func() ([]byte, error)) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, _ *http.Request) error {
			body, err := content()
			if err != nil {
				return err
			}
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
			_, _ = w.Write(body) // the peer may have gone
			return nil
		}
	}
	const tag = "Operations"
	a.raw(route{
		method: http.MethodGet, path: "/api/openapi.json", id: "openapi", tag: tag, summary: "This document", access: public,
		answers: map[int]content{http.StatusOK: {"application/json": map[string]any{}}},
	}, serve("application/json", document))
	a.raw(route{
		method: http.MethodGet, path: "/api/docs", id: "docs", tag: tag, summary: "This document as a page", access: public,
		answers: map[int]content{http.StatusOK: {"text/html": nil}},
	}, serve("text/html; charset=utf-8", page))
}

// documented is one operation as the page shows it.
type documented struct {
	Method, Path string
	*huma.Operation
	Request string // schema, as JSON
	Answers []string
}

// renderPage lists every operation by its tag.
func (a *API) renderPage() ([]byte, error) {
	doc := a.huma.OpenAPI()
	byTag := map[string][]documented{}
	for path, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				byTag[op.Tags[0]] = append(byTag[op.Tags[0]], describe(doc, path, op))
			}
		}
	}
	var b strings.Builder
	b.WriteString(htmlf(`<p>%s The same for programs: <a href="openapi.json">openapi.json</a>.</p>`, doc.Info.Description))
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		ops := byTag[tag]
		slices.SortFunc(ops, func(x, y documented) int {
			return strings.Compare(x.Path+" "+x.Method, y.Path+" "+y.Method)
		})
		b.WriteString(htmlf("\n<h2>%s</h2>", tag))
		for _, op := range ops {
			op.writeHTML(&b)
		}
	}
	return []byte(pageOf(documentHTML, b.String())), nil
}

func (d documented) writeHTML(b *strings.Builder) {
	b.WriteString(htmlf("\n<details id=\"%s\">\n<summary><b>%s</b> <code>%s</code> — %s</summary>\n<p>%s</p>\n",
		d.OperationID, d.Method, d.Path, d.Summary, d.Description))
	if len(d.Parameters) > 0 {
		b.WriteString("<ul>")
		for _, p := range d.Parameters {
			b.WriteString(htmlf("<li><code>%s</code> (%s) %s</li>", p.Name, p.In, p.Description))
		}
		b.WriteString("</ul>\n")
	}
	if d.Request != "" {
		b.WriteString(htmlf("<h4>Body</h4><pre>%s</pre>\n", d.Request))
	}
	b.WriteString("<h4>Answer</h4>")
	for _, a := range d.Answers {
		b.WriteString(htmlf("<pre>%s</pre>", a))
	}
	b.WriteString("\n</details>")
}

func describe(doc *huma.OpenAPI, path string, op *huma.Operation) documented {
	d := documented{Method: op.Method, Path: path, Operation: op}
	if op.RequestBody != nil {
		d.Request = showContent(doc, op.RequestBody.Content)
	}
	for status, answer := range op.Responses {
		if status != "default" { // the problem, the same everywhere
			d.Answers = append(d.Answers, strings.TrimSpace(status+" "+showContent(doc, answer.Content)))
		}
	}
	slices.Sort(d.Answers)
	return d
}

func showContent(doc *huma.OpenAPI, content map[string]*huma.MediaType) string {
	for _, media := range content {
		if media.Schema == nil {
			continue
		}
		s := media.Schema
		if s.Ref != "" {
			s = doc.Components.Schemas.SchemaFromRef(s.Ref)
		}
		if text, err := json.MarshalIndent(s, "", "  "); err == nil {
			return string(text)
		}
	}
	return ""
}
