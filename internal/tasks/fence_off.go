//go:build unfenced

package tasks

// This build shows that the tests of faults find what the fence prevents.
const fenced = false
