package httpapi

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/firmlight/firmlight/internal/audit"
)

// auditRoutes show the audit log. There are none that change it.
func (a *API) auditRoutes() {
	const path = adminPath + "/audit"
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-audit", tag: adminTag,
		summary: "Who changed what, and who was refused, newest first", access: admin,
	}, a.listAudit)
	handle(a, route{
		method: http.MethodGet, path: path + "/export", id: "export-audit", tag: adminTag,
		summary: "All that matches, newest first, as a file", access: admin, audited: true,
	}, a.exportAudit)
}

// AuditEntry is one thing that was done or refused.
type AuditEntry struct {
	ID         string   `json:"id" format:"uuid"`
	At         Time     `json:"at"`
	Actor      *UserRef `json:"actor" doc:"As named then; of a failed login whose account it was; null: nobody known, or the server itself"`
	TokenKind  string   `json:"token_kind" enum:"session,worker,device,api," doc:"Empty: without a token"`
	Action     string   `json:"action" doc:"Id of the operation"`
	TargetType string   `json:"target_type"`
	Target     string   `json:"target"`
	Group      string   `json:"group" doc:"Id; empty: of no group"`
	Address    string   `json:"address" doc:"Of the client"`
	Outcome    string   `json:"outcome" doc:"ok, or the code of the problem"`
	Status     int      `json:"status" doc:"Of HTTP; 0: an act of the server itself"`
	RequestID  string   `json:"request_id"`
	LeftOut    int      `json:"left_out" doc:"So many refused attempts of the same actor or address in the minute before are not listed"`
}

func showAuditEntry(e audit.Entry) AuditEntry {
	out := AuditEntry{
		ID: e.ID, At: Time{e.At()}, TokenKind: string(e.TokenKind), Action: e.Action, TargetType: e.TargetType, Target: e.Target,
		Group: e.Group, Address: e.Address, Outcome: e.Outcome, Status: e.Status, RequestID: e.RequestID, LeftOut: e.LeftOut,
	}
	if e.Actor != "" {
		out.Actor = &UserRef{ID: e.Actor, Username: e.ActorName}
	}
	return out
}

// AuditFilter chooses entries; it is exported because huma passes over embedded
// structs that are not.
type AuditFilter struct {
	Actor   string    `query:"actor" maxLength:"64" doc:"User id or username"`
	Action  string    `query:"action" maxLength:"64" doc:"Id of an operation"`
	Target  string    `query:"target" maxLength:"256"`
	Group   string    `query:"group" maxLength:"64" doc:"Id"`
	Outcome string    `query:"outcome" maxLength:"64" doc:"ok, refused (all but ok), or the code of a problem"`
	From    time.Time `query:"from" doc:"Not before"`
	To      time.Time `query:"to" doc:"Before"`
}

func (f AuditFilter) filter() audit.Filter {
	return audit.Filter{
		Actor: f.Actor, Action: f.Action, Target: f.Target, Group: f.Group, Outcome: f.Outcome, From: f.From, To: f.To,
	}
}

type listAuditRequest struct {
	AuditFilter
	Page
}

type auditList struct{ Body List[AuditEntry] }

func (a *API) listAudit(ctx context.Context, in *listAuditRequest) (*auditList, error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Audit.List(ctx, in.filter(), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return &auditList{Body: listOf(rows, in.Limit, func(e audit.Entry) string { return e.ID }, showAuditEntry)}, nil
}

type exportAuditRequest struct {
	AuditFilter
	Format string `query:"format" enum:"csv,ndjson" default:"csv"`
}

// pageTime is how long a client has for each page of an export.
const pageTime = time.Minute

// exportAudit streams page by page. Where the store fails midway the connection
// is cut, so that nobody takes a part for the whole.
func (a *API) exportAudit(_ context.Context, in *exportAuditRequest) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		kind, write := "text/csv; charset=utf-8", auditCSV(w)
		if in.Format == "ndjson" {
			kind, write = "application/x-ndjson", auditNDJSON(w)
		}
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%s.%s"`, time.Now().UTC().Format("20060102T150405Z"), in.Format))
		h.Set("Cache-Control", "no-store")
		control := http.NewResponseController(w)
		for page, err := range a.deps.Audit.Export(r.Context(), in.filter()) {
			if err == nil {
				_ = control.SetWriteDeadline(time.Now().Add(pageTime)) // without it the connection's own holds
				err = write(page)
			}
			if err == nil {
				err = control.Flush()
			}
			if err != nil {
				requestFrom(r.Context()).log.WarnContext(r.Context(), "export of the audit log cut off", "error", err)
				panic(http.ErrAbortHandler)
			}
		}
	}}, nil
}

func auditNDJSON(w io.Writer) func([]audit.Entry) error {
	enc := json.NewEncoder(w)
	return func(page []audit.Entry) error {
		for _, e := range page {
			if err := enc.Encode(showAuditEntry(e)); err != nil {
				return err
			}
		}
		return nil
	}
}

// auditCSV writes the names of the columns before the first page.
func auditCSV(w io.Writer) func([]audit.Entry) error {
	out := csv.NewWriter(w)
	names := []string{
		"id", "at", "actor_id", "actor_username", "token_kind", "action", "target_type", "target", "group", "address",
		"outcome", "status", "request_id", "left_out",
	}
	return func(page []audit.Entry) error {
		if names != nil {
			if err := out.Write(names); err != nil {
				return err
			}
			names = nil
		}
		for _, e := range page {
			row := []string{
				e.ID, e.At().Format(timeLayout), e.Actor, e.ActorName, string(e.TokenKind), e.Action, e.TargetType, e.Target,
				e.Group, e.Address, e.Outcome, strconv.Itoa(e.Status), e.RequestID, strconv.Itoa(e.LeftOut),
			}
			for i, cell := range row {
				row[i] = plainCell(cell)
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	}
}

// plainCell keeps a spreadsheet from taking what somebody chose, such as a
// username, for a formula.
func plainCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
