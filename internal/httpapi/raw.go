package httpapi

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// content is what a raw route takes or answers, by media type: a value of the Go
// type that the JSON has; nil for what is no JSON.
type content map[string]any

// raw registers a plain handler (sockets, streams, pages) of a route; an error
// that it returns before it has answered becomes a problem.
func (a *API) raw(r route, h func(http.ResponseWriter, *http.Request) error) {
	r.raw = true
	a.routes = append(a.routes, r)
	a.document(r)
	pattern := r.method + " " + r.path
	if strings.HasSuffix(pattern, "/") {
		pattern += "{$}" // this path alone, and not what is below it
	}
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, rq *http.Request) {
		var err error
		if !r.asksItself {
			err = a.authenticate(rq.Context(), bearer(rq.Header.Get("Authorization")), r.access)
		}
		if err == nil {
			err = h(w, rq)
		}
		if err != nil {
			a.record(rq.Context(), r, "", err)
			writeProblem(w, rq, err)
		}
	})
}

// document puts a raw route into the OpenAPI document, as huma does with others.
func (a *API) document(r route) {
	op := r.operation()
	op.Responses = map[string]*huma.Response{
		"default": {Description: "Error", Content: a.mediaOf(content{(&Problem{}).ContentType(""): Problem{}})},
	}
	for status, c := range r.answers {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: a.mediaOf(c)}
	}
	if r.takes != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: a.mediaOf(r.takes)}
	}
	a.huma.OpenAPI().AddOperation(&op)
}

func (a *API) mediaOf(c content) map[string]*huma.MediaType {
	media := make(map[string]*huma.MediaType, len(c))
	for kind, v := range c {
		s := &huma.Schema{Type: huma.TypeString}
		if v != nil {
			s = a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
			s.Nullable = false // as an array else is
		}
		media[kind] = &huma.MediaType{Schema: s}
	}
	return media
}
