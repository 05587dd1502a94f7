//go:build !long

package e2e

import "time"

// TestCluster of `make test`: a minute, as whoever runs it.
const (
	clusterTime = time.Minute
	namespaces  = false
)
