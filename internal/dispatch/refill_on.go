//go:build !unfilled

package dispatch

// refills says that a queue which has run dry is filled from the store.
const refills = true
