package httpapi

import (
	"log/slog"
)

// RawRoutes returns the patterns of the routes that the OpenAPI document lacks.
func RawRoutes() []string {
	return New(Deps{Log: slog.New(slog.DiscardHandler)}).raws
}
