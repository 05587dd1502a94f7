//go:build !unfenced

package tasks

// fenced says that what a worker sends counts for its own attempt only.
const fenced = true
