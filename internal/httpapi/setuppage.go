package httpapi

import (
	_ "embed"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

//go:embed setup.html
var setupHTML string

// setupInputs takes code, user name and email.
const setupInputs = `<form method="post" action="/setup">
<input type="hidden" name="code" value="%s">
<label>User name <input name="username" value="%s" required pattern="[a-z0-9_\-]{3,32}" title="3 to 32 of a-z, 0-9, _ and -" autocomplete="username"></label>
<label>Email <input name="email" type="email" value="%s" required autocomplete="email"></label>
<label>Password <input name="password" type="password" required minlength="8" maxlength="128" autocomplete="new-password"></label>
<button>Make administrator</button>
</form>`

// maxForm bounds the body of the setup form, in bytes.
const maxForm = 8 << 10

// setupForm is what the page shows.
type setupForm struct {
	Code, Username, Email string
	Problem               string
	Done                  bool
}

// setupPageRoutes serve the page behind the one-time link in the server's log:
// a plain form, so that it needs no script. Its code is the proof of who sends it.
func (a *API) setupPageRoutes() {
	a.raw(route{
		method: http.MethodGet, path: "/setup", id: "setup-page", tag: "Authentication", summary: "The form behind the link in the server's log",
		access: public, answers: map[int]content{http.StatusOK: {"text/html": nil}},
	}, func(w http.ResponseWriter, r *http.Request) error {
		return showSetup(w, http.StatusOK, setupForm{Code: r.URL.Query().Get("code")})
	})
	a.raw(setupFormRoute, a.takeSetupForm)
}

// setupFormRoute is the same as the operation setup, and audited as such.
var setupFormRoute = route{
	method: http.MethodPost, path: "/setup", id: "setup-form", tag: "Authentication", summary: "Make the first administrator, by that form",
	access: public, status: http.StatusCreated,
	takes: content{"application/x-www-form-urlencoded": nil}, answers: map[int]content{http.StatusCreated: {"text/html": nil}},
	unaudited: "the handler, which shows problems on the page, records it",
}

func (a *API) takeSetupForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Malformed, "bad_form", "The form could not be read.")
	}
	f := setupForm{Code: r.PostForm.Get("code"), Username: r.PostForm.Get("username"), Email: r.PostForm.Get("email")}
	pair, err := a.deps.Auth.Setup(r.Context(), f.Code, auth.Registration{
		Username: f.Username, Email: f.Email, Password: r.PostForm.Get("password"),
	}, requestFrom(r.Context()).client())
	noteUser(r.Context(), pair.User)
	setup := setupFormRoute
	setup.id, setup.unaudited = "setup", ""
	a.record(r.Context(), setup, "", err)
	var known *fault.Error
	switch {
	case err == nil:
		f.Done = true
		return showSetup(w, http.StatusCreated, f)
	case errors.As(err, &known) && known.Kind != fault.Internal:
		f.Problem = inWords(known)
		return showSetup(w, statuses[known.Kind], f)
	default:
		return err
	}
}

// inWords is a fault as a person reads it in a form.
func inWords(e *fault.Error) string {
	words := []string{e.Detail}
	for _, f := range e.Fields {
		words = append(words, f.Field+" "+f.Message+".")
	}
	return strings.Join(words, " ")
}

func showSetup(w http.ResponseWriter, status int, f setupForm) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the address has the code
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, pageOf(setupHTML, f.html())) // the peer may have gone
	return nil
}

func (f setupForm) html() string {
	if f.Done {
		return htmlf("<p>The administrator <strong>%s</strong> has been made, and can log in. This link is used up.</p>", f.Username)
	}
	problem := ""
	if f.Problem != "" {
		problem = htmlf(`<p role="alert">%s</p>`, f.Problem)
	}
	return "<p>Make the first administrator of this server. The link works once.</p>\n" + problem +
		htmlf(setupInputs, f.Code, f.Username, f.Email)
}
