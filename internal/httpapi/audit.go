package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
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

// ShowAuditEntry returns an entry as JSON shows it.
func ShowAuditEntry(e audit.Entry) AuditEntry {
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
	return &auditList{Body: listOf(rows, in.Limit, func(e audit.Entry) string { return e.ID }, ShowAuditEntry)}, nil
}

type exportAuditRequest struct {
	AuditFilter
	Format string `query:"format" enum:"csv,ndjson" default:"csv"`
}

// exportAudit streams page by page.
func (a *API) exportAudit(_ context.Context, in *exportAuditRequest) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		write := auditCSV(w)
		if in.Format == "ndjson" {
			write = auditNDJSON(w)
		}
		export(r, w, "audit", in.Format, a.deps.Audit.Export(r.Context(), in.filter()), write)
	}}, nil
}

func auditNDJSON(w io.Writer) func([]audit.Entry) error {
	enc := json.NewEncoder(w)
	return func(page []audit.Entry) error {
		for _, e := range page {
			if err := enc.Encode(ShowAuditEntry(e)); err != nil {
				return err
			}
		}
		return nil
	}
}

var auditColumns = []string{
	"id", "at", "actor_id", "actor_username", "token_kind", "action", "target_type", "target", "group", "address",
	"outcome", "status", "request_id", "left_out",
}

func auditCSV(w io.Writer) func([]audit.Entry) error {
	return writeCSV(w, auditColumns, func(e audit.Entry) []string {
		return []string{
			e.ID, e.At().Format(timeLayout), e.Actor, e.ActorName, string(e.TokenKind), e.Action, e.TargetType, e.Target,
			e.Group, e.Address, e.Outcome, strconv.Itoa(e.Status), e.RequestID, strconv.Itoa(e.LeftOut),
		}
	})
}
