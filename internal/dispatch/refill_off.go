//go:build unfilled

package dispatch

// This build shows that the tests of faults find what refill mends.
const refills = false
