package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/firmlight/firmlight/internal/fault"
)

// fail turns an error of the driver into what callers get: a fault of kind
// Unavailable where the database cannot be used just now, or took too long; faults
// and cancelled calls as they are; the rest wrapped.
func fail(err error) error {
	var f *fault.Error
	switch {
	case err == nil, errors.As(err, &f), errors.Is(err, context.Canceled):
		return err
	case away(err):
		return fault.Away(err, "store_unavailable", "The store does not answer.")
	default:
		return fmt.Errorf("mongodb: %w", err)
	}
}

// away reports whether the database, not the operation, is the trouble.
func away(err error) bool {
	if errors.Is(err, mongo.ErrClientDisconnected) || mongo.IsNetworkError(err) || mongo.IsTimeout(err) {
		return true
	}
	var selection topology.ServerSelectionError
	var labeled mongo.LabeledError
	return errors.As(err, &selection) ||
		errors.As(err, &labeled) && (labeled.HasErrorLabel("RetryableWriteError") || labeled.HasErrorLabel("RetryableReadError"))
}
